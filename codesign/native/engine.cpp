/* Training and inference of small networks: a tile of samples, one in each vector lane, goes through
 * forward, loss and backward before the next, so that its activations stay in the cache.
 *
 * Three kernels do the arithmetic. `gather` computes each output pixel from a list of (input pixel, tap):
 * convolutions, transposed convolutions, dense layers (one pixel, one tap), and the gradient with respect to
 * the input of all three, which is the same sum with the lists turned round and the weights transposed.
 * `weight_gradient` sums products over pairs of pixels and over lanes, with samples in the lanes, or with
 * channels in them where these fill them. The rest is done element by element.
 *
 * Rounding is to even, saturation comes first (for whole bounds that is the same), gradients are straight
 * through: for weights everywhere, for activations strictly inside the range. Comparisons let NaN pass, so
 * that a diverged fit shows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <utility>

#include "engine.h"
#include "transport.h"

namespace {

typedef float anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

constexpr int ACCUMULATORS = LANES == 16 ? 24 : 12; /* of 32 and of 16 registers */
constexpr int CHAINS = 8;
constexpr int ROWS = LANES == 16 ? 8 : 4;
constexpr float ALL_INTEGERS_FROM = 8388608.0f;
constexpr float UNITS_BELOW = 4194304.0f; /* what is smaller rounds by adding and taking away three times this */

inline lanes broadcast(float value) { return value - lanes{}; } /* adding would turn -0 */

inline lanes zero_below(lanes x) { return lanes{} > x ? lanes{} : x; }

inline lanes round_even(lanes x) {
    lanes magic = x < 0.0f ? broadcast(-ALL_INTEGERS_FROM) : broadcast(ALL_INTEGERS_FROM);
    lanes rounded = (x + magic) - magic;
    return x * x < ALL_INTEGERS_FROM * ALL_INTEGERS_FROM ? rounded : x;
}

inline float round_even(float x) {
    float magic = copysignf(ALL_INTEGERS_FROM, x);
    return fabsf(x) < ALL_INTEGERS_FROM ? (x + magic) - magic : x;
}

inline float quantised(float x, const Format &format) {
    float code = x * (1.0f / format.scale);
    code = code > format.maximum ? format.maximum : code < format.minimum ? format.minimum : code;
    return round_even(code) * format.scale;
}

inline lanes round_even_small(lanes x) { return (x + 3 * UNITS_BELOW) - 3 * UNITS_BELOW; }

inline void quantise(lanes *out, const lanes *in, int64_t count, const Format &format) {
    const float factor = 1.0f / format.scale, scale = format.scale;
    const lanes most = broadcast(format.maximum), least = broadcast(format.minimum);
    const bool small = format.maximum < UNITS_BELOW && format.minimum > -UNITS_BELOW;
    for (int64_t j = 0; j < count; j++) {
        lanes code = in[j] * factor;
        code = most < code ? most : code;
        code = least > code ? least : code;
        out[j] = (small ? round_even_small(code) : round_even(code)) * scale;
    }
}

/* exp(x) by 2^n times a polynomial of degree 6 (Cephes' expf): within two units in the last place. */
inline lanes exponential(lanes x) {
    x = x > 88.0f ? broadcast(88.0f) : x;
    x = x < -87.0f ? broadcast(-87.0f) : x;
    lanes n = round_even_small(x * 1.44269504088896341f);
    x = x - n * 0.693359375f;
    x = x + n * 2.12194440e-4f;
    lanes y = broadcast(1.9875691500e-4f);
    y = y * x + 1.3981999507e-3f;
    y = y * x + 8.3334519073e-3f;
    y = y * x + 4.1665795894e-2f;
    y = y * x + 1.6666665459e-1f;
    y = y * x + 5.0000001201e-1f;
    y = y * x * x + x + 1.0f;
    integers exponent = (__builtin_convertvector(n, integers) + 127) << 23;
    lanes power;
    memcpy(&power, &exponent, sizeof power);
    return y * power;
}

inline lanes logistic(lanes x) {
    lanes y = 1.0f / (1.0f + exponential(-x));
    return x == x ? y : x;
}

/* out[p][o] = bias[o] + sum over (q, t) listed for p, and over i, of in[q][i] weight[t][i][o]; `least` if that
 * is less; 0 where `gate` is not above 0. No bias, no gate: NULL. */
struct Sum {
    const Links *links;
    int32_t pixels, channels_in, channels_out;
    const float *weight, *bias;
    const lanes *in;
    lanes *out;
    float least;
    const lanes *gate;
};

/* B channels of P pixels with the same taps, which share the weights; U chains of sums for each. SINGLE: there
 * is one channel in. */
template <int B, int P, int U, bool SINGLE>
inline __attribute__((always_inline)) void gather_block(const Sum &sum, int first, const int32_t *place) {
    const int channels_in = SINGLE ? 1 : sum.channels_in, channels_out = sum.channels_out;
    const Links &links = *sum.links;
    const int taps = links.start[place[0] + 1] - links.start[place[0]];
    lanes total[U][P][B];
    for (int o = 0; o < B; o++)
        for (int p = 0; p < P; p++) {
            total[0][p][o] = broadcast(sum.bias ? sum.bias[first + o] : 0.0f);
            for (int u = 1; u < U; u++) total[u][p][o] = lanes{};
        }
    const int32_t *from[P], *tap = links.tap + links.start[place[0]];
    for (int p = 0; p < P; p++) from[p] = links.pixel + links.start[place[p]];
    const int64_t block = (int64_t)channels_in * channels_out;
    for (int k = 0; k < taps; k++) {
        const lanes *x[P];
        for (int p = 0; p < P; p++) x[p] = sum.in + (int64_t)from[p][k] * channels_in;
        const float *w = sum.weight + tap[k] * block + first;
        int i = 0;
        do {
            for (int u = 0; u < U; u++)
                for (int o = 0; o < B; o++) {
                    const lanes one = broadcast(w[u * channels_out + o]);
                    for (int p = 0; p < P; p++) total[u][p][o] += x[p][i + u] * one;
                }
            i += U, w += U * channels_out;
        } while (!SINGLE && i + U <= channels_in);
        if constexpr (U > 1)
            for (; i < channels_in; i++, w += channels_out)
                for (int o = 0; o < B; o++)
                    for (int p = 0; p < P; p++) total[0][p][o] += x[p][i] * w[o];
    }
    for (int p = 0; p < P; p++) {
        const int64_t start = (int64_t)place[p] * channels_out + first;
        for (int o = 0; o < B; o++)
            for (int u = 1; u < U; u++) total[0][p][o] += total[u][p][o];
        if (sum.gate)
            for (int o = 0; o < B; o++) total[0][p][o] = sum.gate[start + o] > 0.0f ? total[0][p][o] : lanes{};
        const lanes least = broadcast(sum.least);
        for (int o = 0; o < B; o++) sum.out[start + o] = least > total[0][p][o] ? least : total[0][p][o];
    }
}

template <int B, int P>
inline void gather_places(const Sum &sum, int first, const int32_t *place) {
    constexpr int most = B * P >= CHAINS ? 1 : CHAINS / (B * P);
    if (sum.channels_in == 1) gather_block<B, P, 1, true>(sum, first, place);
    else if (most >= 8 && sum.channels_in >= 8) gather_block<B, P, most >= 8 ? 8 : 1, false>(sum, first, place);
    else if (most >= 4 && sum.channels_in >= 4) gather_block<B, P, most >= 4 ? 4 : 1, false>(sum, first, place);
    else if (most >= 2 && sum.channels_in >= 2) gather_block<B, P, most >= 2 ? 2 : 1, false>(sum, first, place);
    else gather_block<B, P, 1, false>(sum, first, place);
}

/* As many pixels at once as there are registers for. */
template <int B>
inline void gather_width(const Sum &sum, int first) {
    constexpr int most = ACCUMULATORS / B;
    const int32_t *place = sum.links->place, *alike = sum.links->alike, *end = place + sum.pixels;
    while (place < end) {
        const int count = *alike;
        int taken = 1;
        if (most >= 8 && count >= 8) gather_places<B, most >= 8 ? 8 : 1>(sum, first, place), taken = 8;
        else if (most >= 4 && count >= 4) gather_places<B, most >= 4 ? 4 : 1>(sum, first, place), taken = 4;
        else if (most >= 3 && count >= 3 && (most > 3 || count != 4))
            gather_places<B, most >= 3 ? 3 : 1>(sum, first, place), taken = 3;
        else if (most >= 2 && count >= 2) gather_places<B, most >= 2 ? 2 : 1>(sum, first, place), taken = 2;
        else gather_places<B, 1>(sum, first, place);
        place += taken;
        alike += taken;
    }
}

void gather(const Sum &sum) {
    int first = 0;
    const int channels = sum.channels_out;
    if (sum.pixels == 1 || LANES == 16)
        for (; first + 8 <= channels; first += 8) gather_width<8>(sum, first);
    for (; first + 4 <= channels; first += 4) gather_width<4>(sum, first);
    for (; first + 2 <= channels; first += 2) gather_width<2>(sum, first);
    for (; first < channels; first++) gather_width<1>(sum, first);
}

/* Exchange blocks of D lanes: of a its even and of b its even ones, in turn, and the same with the odd ones. */
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, integers{__VA_ARGS__})
#endif

template <int D, int... L>
inline void exchange(lanes &a, lanes &b, std::integer_sequence<int, L...>) {
    lanes even = SHUFFLE(a, b, (L & D ? LANES + (L ^ D) : L)...);
    b = SHUFFLE(a, b, (L & D ? LANES + L : L ^ D)...);
    a = even;
}

using every_lane = std::make_integer_sequence<int, LANES>;

/* Sum of each of LANES vectors, in the lane of its number. */
template <int D = 1>
inline lanes sums(lanes *v) {
    if constexpr (D == LANES) return v[0];
    else {
        for (int j = 0; j < LANES / (2 * D); j++) {
            exchange<D>(v[2 * j], v[2 * j + 1], every_lane{});
            v[j] = v[2 * j] + v[2 * j + 1];
        }
        return sums<2 * D>(v);
    }
}

/* Lane l of vector j becomes lane j of vector l. */
template <int D = 1>
inline void transpose(lanes *v) {
    if constexpr (D < LANES) {
        for (int j = 0; j < LANES; j++)
            if (!(j & D)) exchange<D>(v[j], v[j + D], every_lane{});
        transpose<2 * D>(v);
    }
}

/* gradient[t][i][o] += sum over tiles, pairs (q, p) of tap t, and lanes, of in[q][i] error[p][o]. */
struct Products {
    const Layer *layer;
    const lanes *in, *error;
    int tiles;
    float *gradient;
};

template <int I, int O>
void gradient_block(const Products &products, int tap, int row, int column) {
    const Layer &layer = *products.layer;
    const int64_t step_in = (int64_t)layer.pixels_in * layer.channels_in;
    const int64_t step_out = (int64_t)layer.pixels_out * layer.channels_out;
    const int from = layer.pairs.start[tap], to = layer.pairs.start[tap + 1];
    lanes total[I][O] = {};
    for (int tile = 0; tile < products.tiles; tile++) {
        const lanes *in = products.in + tile * step_in + row;
        const lanes *error = products.error + tile * step_out + column;
        for (int k = from; k < to; k++) {
            const lanes *x = in + (int64_t)layer.pairs.pixel[k] * layer.channels_in;
            const lanes *e = error + (int64_t)layer.pairs.tap[k] * layer.channels_out;
            for (int i = 0; i < I; i++)
                for (int o = 0; o < O; o++) total[i][o] += x[i] * e[o];
        }
    }
    float *gradient = products.gradient + ((int64_t)tap * layer.channels_in + row) * layer.channels_out + column;
    lanes flat[(I * O + LANES - 1) / LANES * LANES] = {};
    for (int j = 0; j < I * O; j++) flat[j] = total[j / O][j % O];
    for (int start = 0; start < I * O; start += LANES) {
        lanes found = sums(flat + start);
        for (int j = start; j < I * O && j < start + LANES; j++)
            gradient[(int64_t)(j / O) * layer.channels_out + j % O] += found[j - start];
    }
}

template <int I>
void gradient_rows(const Products &products, int tap, int row) {
    constexpr int widest = LANES == 16 ? (I == 1 ? 16 : I == 2 ? 8 : 4) : (I == 1 ? 8 : 4);
    const int channels = products.layer->channels_out;
    int column = 0;
    if constexpr (widest >= 16)
        for (; column + 16 <= channels; column += 16) gradient_block<I, 16>(products, tap, row, column);
    if constexpr (widest >= 8)
        for (; column + 8 <= channels; column += 8) gradient_block<I, 8>(products, tap, row, column);
    for (; column + 4 <= channels; column += 4) gradient_block<I, 4>(products, tap, row, column);
    for (; column + 2 <= channels; column += 2) gradient_block<I, 2>(products, tap, row, column);
    for (; column < channels; column++) gradient_block<I, 1>(products, tap, row, column);
}

void summed_gradient(const Products &products) {
    const Layer &layer = *products.layer;
    const int rows = layer.channels_in;
    for (int tap = 0; tap < layer.taps; tap++) {
        if (layer.pairs.start[tap] == layer.pairs.start[tap + 1]) continue;
        int row = 0;
        if (layer.channels_out == 1)
            for (; row + 8 <= rows; row += 8) gradient_block<8, 1>(products, tap, row, 0);
        if constexpr (LANES == 16)
            for (; row + 4 <= rows; row += 4) gradient_rows<4>(products, tap, row);
        for (; row + 2 <= rows; row += 2) gradient_rows<2>(products, tap, row);
        for (; row < rows; row++) gradient_rows<1>(products, tap, row);
    }
}

/* Vectors that hold the channels behind a layer. */
int vectors_out(const Layer &layer) { return (layer.channels_out + LANES - 1) / LANES; }

/* Whether the weight gradient has channels in the lanes: where they fill them, nothing is summed over lanes. */
bool turns(const Layer &layer) {
    return layer.kind == AFFINE && layer.channels_in > 1 &&
           4 * layer.channels_out >= 3 * LANES * vectors_out(layer);
}

/* turned[p][lane] holds the channels of error[p] in that lane. */
void turn(const Layer &layer, const lanes *error, lanes *turned) {
    const int width = vectors_out(layer), channels = layer.channels_out;
    for (int p = 0; p < layer.pixels_out; p++, error += channels, turned += LANES * width)
        for (int column = 0; column < width; column++) {
            lanes block[LANES];
            for (int j = 0; j < LANES; j++)
                block[j] = column * LANES + j < channels ? error[column * LANES + j] : lanes{};
            transpose(block);
            for (int lane = 0; lane < LANES; lane++) turned[lane * width + column] = block[lane];
        }
}

/* As `gradient_block` does, of tiles whose error is turned. */
template <int I, int V>
void outer_block(const Products &products, int tap, int row, int column) {
    const Layer &layer = *products.layer;
    const int width = vectors_out(layer), channels = layer.channels_out;
    lanes total[I][V] = {};
    const int64_t step_in = (int64_t)layer.pixels_in * layer.channels_in;
    const int64_t step_out = (int64_t)layer.pixels_out * LANES * width;
    for (int tile = 0; tile < products.tiles; tile++) {
        const lanes *in = products.in + tile * step_in + row;
        const lanes *error = products.error + tile * step_out + column;
        for (int k = layer.pairs.start[tap]; k < layer.pairs.start[tap + 1]; k++) {
            const float *x = (const float *)(in + (int64_t)layer.pairs.pixel[k] * layer.channels_in);
            const lanes *e = error + (int64_t)layer.pairs.tap[k] * LANES * width;
            for (int lane = 0; lane < LANES; lane++, e += width)
                for (int i = 0; i < I; i++) {
                    const lanes one = broadcast(x[i * LANES + lane]);
                    for (int v = 0; v < V; v++) total[i][v] += one * e[v];
                }
        }
    }
    float *gradient = products.gradient + ((int64_t)tap * layer.channels_in + row) * channels;
    const bool full = (column + V) * LANES <= channels;
    for (int i = 0; i < I; i++, gradient += channels)
        for (int v = 0; v < V; v++) {
            float *place = gradient + (column + v) * LANES;
            if (full)
                *(anywhere *)place += total[i][v];
            else
                for (int j = 0; j < channels - (column + v) * LANES && j < LANES; j++) place[j] += total[i][v][j];
        }
}

/* Rows by I at a time, the rest by fewer. */
template <int I, int V>
void outer_rows(const Products &products, int tap, int row, int column) {
    const int rows = products.layer->channels_in;
    for (; row + I <= rows; row += I) outer_block<I, V>(products, tap, row, column);
    if constexpr (I > 1)
        if (row < rows) outer_rows<I / 2, V>(products, tap, row, column);
}

void turned_gradient(const Products &products) {
    const int width = vectors_out(*products.layer);
    for (int tap = 0; tap < products.layer->taps; tap++) {
        int column = 0;
        for (; column + 2 <= width; column += 2) outer_rows<ROWS, 2>(products, tap, 0, column);
        if (column < width) outer_rows<2 * ROWS, 1>(products, tap, 0, column);
    }
}

void weight_gradient(const Products &products) {
    if (turns(*products.layer)) turned_gradient(products);
    else summed_gradient(products);
}

template <int O>
void add_pixels(const Layer &layer, const lanes *error, lanes *found) {
    lanes total[O] = {};
    for (int p = 0; p < layer.pixels_out; p++, error += layer.channels_out)
        for (int o = 0; o < O; o++) total[o] += error[o];
    for (int o = 0; o < O; o++) found[o] = total[o];
}

void bias_gradient(const Layer &layer, const lanes *error, float *gradient) {
    for (int first = 0; first < layer.channels_out; first += LANES) {
        const int left = layer.channels_out - first, count = left < LANES ? left : LANES;
        lanes total[LANES] = {};
        int o = 0;
        for (; o + 4 <= count; o += 4) add_pixels<4>(layer, error + first + o, total + o);
        for (; o < count; o++) add_pixels<1>(layer, error + first + o, total + o);
        const lanes found = sums(total);
        for (o = 0; o < count; o++) gradient[first + o] += found[o];
    }
}

}  // namespace

/* What belongs to one network: buffers for one tile, weights as the layers use them. */
struct Engine {
    const Plan *plan;
    lanes **value, **error; /* by edge: input, then behind each layer */
    float *weight, *transposed, *bias; /* at the offsets of the layers' weights and biases */
    lanes **kept_in, **kept_error; /* by layer: tiles that wait for the weight gradient */
    int *kept;
    lanes *turned, *target;
    double *workspace;
    void *memory;
};

namespace {

constexpr int TILES_KEPT = 8;
constexpr int PAIRS_ENOUGH = 12; /* below, a reduction over the lanes for each tile costs too much */

int64_t size_in(const Layer &layer) { return (int64_t)layer.pixels_in * layer.channels_in; }

int64_t size_out(const Layer &layer) { return (int64_t)layer.pixels_out * layer.channels_out; }

bool waits(const Layer &layer) {
    return layer.kind == AFFINE && layer.pixels_out < (turns(layer) ? 2 : PAIRS_ENOUGH);
}

/* Of the error as the weight gradient wants it. */
int64_t size_turned(const Layer &layer) {
    return turns(layer) ? (int64_t)layer.pixels_out * LANES * vectors_out(layer) : size_out(layer);
}

bool in_place(const Layer &layer) {
    return layer.kind == SIGMOID || (layer.kind == RELU && layer.output.scale == 0.0f);
}

/* Hands out pieces of one block of memory; without a block it only counts. */
struct Arena {
    char *base;
    size_t used;
    template <typename T>
    T *take(int64_t count) {
        size_t start = used;
        used += (count * sizeof(T) + 63) / 64 * 64;
        return base ? (T *)(base + start) : nullptr;
    }
};

void lay_out(Engine &engine, Arena &arena) {
    const Plan &plan = *engine.plan;
    const int layers = plan.layers;
    auto pointers = [&](int count) { return arena.take<lanes *>(count); };
    engine.value = pointers(layers + 1);
    engine.error = pointers(layers + 1);
    engine.kept_in = pointers(layers);
    engine.kept_error = pointers(layers);
    engine.kept = arena.take<int>(layers);
    engine.weight = arena.take<float>(plan.parameters);
    engine.transposed = arena.take<float>(plan.parameters);
    engine.bias = arena.take<float>(plan.parameters);
    engine.target = arena.take<lanes>(plan.loss.outputs);
    int64_t largest = 0;
    for (int index = 0; index < layers; index++) {
        const Layer &layer = plan.layer[index];
        if (turns(layer) && size_turned(layer) > largest) largest = size_turned(layer);
    }
    engine.turned = arena.take<lanes>(largest);
    engine.workspace = arena.take<double>(transport_workspace(plan.loss.outputs));
    lanes *value = arena.take<lanes>(plan.inputs), *error = arena.take<lanes>(plan.inputs);
    for (int index = 0; index <= layers; index++) {
        if (index > 0) {
            const Layer &layer = plan.layer[index - 1];
            if (!in_place(layer)) value = arena.take<lanes>(size_out(layer));
            if (layer.kind != RELU && layer.kind != SIGMOID) error = arena.take<lanes>(size_out(layer));
        }
        if (arena.base) engine.value[index] = value, engine.error[index] = error;
    }
    for (int index = 0; index < layers; index++) {
        const Layer &layer = plan.layer[index];
        lanes *in = arena.take<lanes>(waits(layer) ? TILES_KEPT * size_in(layer) : 0);
        lanes *out = arena.take<lanes>(waits(layer) ? TILES_KEPT * size_turned(layer) : 0);
        if (arena.base) engine.kept_in[index] = in, engine.kept_error[index] = out;
    }
}

/* Weights and biases as the layers use them: rounded where they have a format. */
void prepare(Engine &engine, const float *parameters, bool backward) {
    const Plan &plan = *engine.plan;
    for (int index = 0; index < plan.layers; index++) {
        const Layer &layer = plan.layer[index];
        if (layer.kind != AFFINE) continue;
        const int64_t block = (int64_t)layer.channels_in * layer.channels_out, count = layer.taps * block;
        float *weight = engine.weight + layer.weight, *bias = engine.bias + layer.bias;
        const float *raw = parameters + layer.weight, *raw_bias = parameters + layer.bias;
        if (layer.weight_format.scale == 0.0f) {
            memcpy(weight, raw, count * sizeof(float));
            memcpy(bias, raw_bias, layer.channels_out * sizeof(float));
        } else {
            for (int64_t j = 0; j < count; j++) weight[j] = quantised(raw[j], layer.weight_format);
            for (int o = 0; o < layer.channels_out; o++)
                bias[o] = quantised(raw_bias[o], layer.bias_format) + layer.bias_offset;
        }
        if (!backward || index == 0) continue;
        float *turned = engine.transposed + layer.weight;
        for (int tap = 0; tap < layer.taps; tap++)
            for (int i = 0; i < layer.channels_in; i++)
                for (int o = 0; o < layer.channels_out; o++)
                    turned[tap * block + (int64_t)o * layer.channels_in + i] =
                        weight[tap * block + (int64_t)i * layer.channels_out + o];
    }
}

/* Rows of a matrix into lanes; lanes without a row repeat the first. */
void load(lanes *out, const float *matrix, int64_t columns, const int64_t *rows, int count) {
    const float *row[LANES];
    for (int lane = 0; lane < LANES; lane++) row[lane] = matrix + rows[lane < count ? lane : 0] * columns;
    int64_t column = 0;
    for (; column + LANES <= columns; column += LANES) {
        lanes block[LANES];
        for (int lane = 0; lane < LANES; lane++) block[lane] = *(const anywhere *)(row[lane] + column);
        transpose(block);
        for (int j = 0; j < LANES; j++) out[column + j] = block[j];
    }
    for (; column < columns; column++)
        for (int lane = 0; lane < LANES; lane++) out[column][lane] = row[lane][column];
}

/* The other way: consecutive rows of a matrix. */
void unload(float *matrix, const lanes *in, int64_t columns, int count) {
    int64_t column = 0;
    for (; column + LANES <= columns; column += LANES) {
        lanes block[LANES];
        for (int j = 0; j < LANES; j++) block[j] = in[column + j];
        transpose(block);
        for (int lane = 0; lane < count; lane++) *(anywhere *)(matrix + lane * columns + column) = block[lane];
    }
    for (; column < columns; column++)
        for (int lane = 0; lane < count; lane++) matrix[lane * columns + column] = in[column][lane];
}

void load_inputs(Engine &engine, const float *inputs, const int64_t *rows, int count) {
    const Plan &plan = *engine.plan;
    load(engine.value[0], inputs, plan.inputs, rows, count);
    if (plan.input_format.scale != 0.0f)
        quantise(engine.value[0], engine.value[0], plan.inputs, plan.input_format);
}

void pool(const Layer &layer, const lanes *in, lanes *out) {
    const int channels = layer.channels_in;
    for (int p = 0; p < layer.pixels_out; p++)
        for (int c = 0; c < channels; c++) {
            int k = layer.links.start[p];
            lanes best = in[(int64_t)layer.links.pixel[k] * channels + c];
            for (k++; k < layer.links.start[p + 1]; k++) {
                lanes x = in[(int64_t)layer.links.pixel[k] * channels + c];
                best = (x > best) | (x != x) ? x : best;
            }
            out[(int64_t)p * channels + c] = best;
        }
}

/* The first of equal values gets the gradient, as in PyTorch. */
void pool_backward(const Layer &layer, const lanes *in, const lanes *out, const lanes *error, lanes *back) {
    const int channels = layer.channels_in;
    for (int p = 0; p < layer.pixels_out; p++)
        for (int c = 0; c < channels; c++) {
            lanes best = out[(int64_t)p * channels + c], left = error[(int64_t)p * channels + c];
            for (int k = layer.links.start[p]; k < layer.links.start[p + 1]; k++) {
                int64_t place = (int64_t)layer.links.pixel[k] * channels + c;
                integers here = in[place] == best;
                back[place] = here ? left : lanes{};
                left = here ? lanes{} : left;
            }
        }
}

void upsample(const Layer &layer, const lanes *in, lanes *out) {
    for (int p = 0; p < layer.pixels_out; p++)
        memcpy(out + (int64_t)p * layer.channels_in,
               in + (int64_t)layer.links.pixel[layer.links.start[p]] * layer.channels_in,
               layer.channels_in * sizeof(lanes));
}

void upsample_backward(const Layer &layer, const lanes *error, lanes *back) {
    for (int q = 0; q < layer.pixels_in; q++)
        for (int c = 0; c < layer.channels_in; c++) {
            lanes total{};
            for (int k = layer.back.start[q]; k < layer.back.start[q + 1]; k++)
                total += error[(int64_t)layer.back.pixel[k] * layer.channels_in + c];
            back[(int64_t)q * layer.channels_in + c] = total;
        }
}

bool rectifies(const Layer &layer) { return layer.kind == RELU && layer.output.scale == 0.0f; }

/* Whether this rectifier, which works in place, is done by the sums beside it. */
bool fused(const Plan &plan, int index) {
    return rectifies(plan.layer[index]) && index > 0 && plan.layer[index - 1].kind == AFFINE;
}

void forward_layer(Engine &engine, int index, int edge) {
    const Layer &layer = engine.plan->layer[index];
    const lanes *in = engine.value[index];
    lanes *out = engine.value[index + 1];
    const int64_t size = size_out(layer);
    switch (layer.kind) {
    case AFFINE:
        gather({&layer.links, layer.pixels_out, layer.channels_in, layer.channels_out,
                engine.weight + layer.weight, engine.bias + layer.bias, in, out,
                index + 1 < edge && fused(*engine.plan, index + 1) ? 0.0f : -INFINITY, nullptr});
        break;
    case RELU:
        if (fused(*engine.plan, index)) break;
        if (layer.output.scale == 0.0f)
            for (int64_t j = 0; j < size; j++) out[j] = zero_below(in[j]);
        else
            quantise(out, in, size, layer.output);
        break;
    case SIGMOID:
        for (int64_t j = 0; j < size; j++) out[j] = logistic(in[j]);
        break;
    case POOL: pool(layer, in, out); break;
    case UPSAMPLE: upsample(layer, in, out); break;
    }
}

/* Of the tiles that wait. */
void kept_gradient(Engine &engine, int index, float *gradient) {
    const Layer &layer = engine.plan->layer[index];
    if (engine.kept[index])
        weight_gradient({&layer, engine.kept_in[index], engine.kept_error[index], engine.kept[index],
                         gradient + layer.weight});
    engine.kept[index] = 0;
}

void affine_backward(Engine &engine, int index, float *gradient) {
    const Layer &layer = engine.plan->layer[index];
    const lanes *in = engine.value[index], *error = engine.error[index + 1];
    bias_gradient(layer, error, gradient + layer.bias);
    int &kept = engine.kept[index];
    lanes *ready = waits(layer) ? engine.kept_error[index] + kept * size_turned(layer) : engine.turned;
    if (turns(layer)) turn(layer, error, ready);
    else if (waits(layer)) memcpy(ready, error, size_out(layer) * sizeof(lanes));
    if (waits(layer)) {
        memcpy(engine.kept_in[index] + kept * size_in(layer), in, size_in(layer) * sizeof(lanes));
        if (++kept == TILES_KEPT) kept_gradient(engine, index, gradient);
    } else {
        weight_gradient({&layer, in, turns(layer) ? ready : error, 1, gradient + layer.weight});
    }
    if (index > 0)
        gather({&layer.back, layer.pixels_in, layer.channels_out, layer.channels_in,
                engine.transposed + layer.weight, nullptr, error, engine.error[index], -INFINITY,
                rectifies(engine.plan->layer[index - 1]) ? in : nullptr});
}

void backward_layer(Engine &engine, int index, float *gradient) {
    const Layer &layer = engine.plan->layer[index];
    const lanes *in = engine.value[index], *out = engine.value[index + 1], *error = engine.error[index + 1];
    lanes *back = engine.error[index];
    const int64_t size = size_out(layer);
    switch (layer.kind) {
    case AFFINE: affine_backward(engine, index, gradient); break;
    case RELU: {
        if (layer.output.scale == 0.0f) {
            if (index + 1 < engine.plan->layers && engine.plan->layer[index + 1].kind == AFFINE) break;
            for (int64_t j = 0; j < size; j++) back[j] = out[j] > 0.0f ? error[j] : lanes{};
            break;
        }
        const float top = layer.output.maximum * layer.output.scale;
        for (int64_t j = 0; j < size; j++)
            back[j] = ((in[j] > 0.0f) & (in[j] < top)) ? error[j] : lanes{};
        break;
    }
    case SIGMOID:
        for (int64_t j = 0; j < size; j++) back[j] = error[j] * ((1.0f - out[j]) * out[j]);
        break;
    case POOL: pool_backward(layer, in, out, error, back); break;
    case UPSAMPLE: upsample_backward(layer, error, back); break;
    }
}

/* Sums over members: weight (p - t)^2, times max(p, t) if `larger`; its gradient is added into `error`. */
lanes sums_loss(const Loss &loss, const lanes *output, const lanes *target, lanes *error, lanes scale) {
    lanes total{};
    for (int j = 0; j < loss.sums; j++) {
        lanes p{}, t{};
        for (int k = loss.start[j]; k < loss.start[j + 1]; k++) {
            p += output[loss.index[loss.member[k]]];
            t += target[loss.member[k]];
        }
        lanes excess = p - t, gradient;
        if (loss.kind == LARGER_SQUARES) {
            lanes larger = t + zero_below(excess);
            total += loss.weight[j] * (excess * excess * larger);
            lanes risen = excess > 0.0f ? excess * excess : lanes{};
            gradient = loss.weight[j] * (2.0f * excess * larger + risen);
        } else {
            total += loss.weight[j] * (excess * excess);
            gradient = loss.weight[j] * (2.0f * excess);
        }
        if (error)
            for (int k = loss.start[j]; k < loss.start[j + 1]; k++)
                error[loss.index[loss.member[k]]] += gradient * scale;
    }
    return total;
}

lanes transport_loss(const Engine &engine, const lanes *output, lanes *error, lanes scale, int count) {
    const Loss &loss = engine.plan->loss;
    const int bins = loss.outputs;
    lanes total{};
    double prediction[256], target[256], gradient[256];
    for (int lane = 0; lane < count; lane++) {
        for (int j = 0; j < bins; j++) {
            prediction[j] = output[loss.index[j]][lane];
            target[j] = engine.target[j][lane];
        }
        total[lane] = (float)JOIN(transport_loss, ISA)(prediction, target, bins, loss.distances, loss.order,
                                                         error ? gradient : nullptr, engine.workspace);
        if (error)
            for (int j = 0; j < bins; j++) error[loss.index[j]][lane] = (float)gradient[j] * scale[lane];
    }
    return total;
}

/* Sum over the lanes of scale times loss; the gradient of that in the error of the last edge. */
double tile_loss(Engine &engine, const float *targets, const int64_t *rows, int count, lanes scale, bool back) {
    const Plan &plan = *engine.plan;
    const Loss &loss = plan.loss;
    const lanes *output = engine.value[plan.layers];
    lanes *error = back ? engine.error[plan.layers] : nullptr;
    load(engine.target, targets, loss.outputs, rows, count);
    if (error) memset(error, 0, plan.outputs * sizeof(lanes));
    lanes found = loss.kind == TRANSPORT ? transport_loss(engine, output, error, scale, count)
                                         : sums_loss(loss, output, engine.target, error, scale);
    double total = 0;
    for (int lane = 0; lane < count; lane++) total += (double)found[lane] * scale[lane];
    return total;
}

int smaller(int64_t a, int b) { return a < b ? (int)a : b; }

}  // namespace

extern "C" {

/* Engine of a plan, which must outlive it; NULL without memory. */
__attribute__((visibility("default"))) Engine *JOIN(engine_new, ISA)(const Plan *plan) {
    Engine draft{};
    draft.plan = plan;
    Arena counting{nullptr, 0};
    lay_out(draft, counting);
    char *memory = (char *)aligned_alloc(64, counting.used + 64);
    if (!memory) return nullptr;
    memset(memory, 0, counting.used);
    Engine *engine = (Engine *)malloc(sizeof(Engine));
    if (!engine) return free(memory), nullptr;
    *engine = draft;
    Arena arena{memory, 0};
    lay_out(*engine, arena);
    engine->memory = memory;
    return engine;
}

void PUBLIC(engine_free)(Engine *engine) {
    if (!engine) return;
    free(engine->memory);
    free(engine);
}

/* Mean over the rows of the loss times the sample's weight (1 if `weights` is NULL). With `gradient`, that of
 * the parameters is written there. */
double PUBLIC(engine_loss)(Engine *engine, const float *parameters, const float *inputs, const float *targets,
                           const float *weights, const int64_t *rows, int64_t count, float *gradient) {
    const Plan &plan = *engine->plan;
    prepare(*engine, parameters, gradient != nullptr);
    if (gradient) memset(gradient, 0, plan.parameters * sizeof(float));
    double total = 0;
    for (int64_t start = 0; start < count; start += LANES) {
        const int64_t *tile = rows + start;
        const int filled = smaller(count - start, LANES);
        lanes scale{};
        for (int lane = 0; lane < filled; lane++)
            scale[lane] = (weights ? weights[tile[lane]] : 1.0f) / (float)count;
        load_inputs(*engine, inputs, tile, filled);
        for (int index = 0; index < plan.layers; index++) forward_layer(*engine, index, plan.layers);
        total += tile_loss(*engine, targets, tile, filled, scale, gradient != nullptr);
        if (gradient)
            for (int index = plan.layers - 1; index >= 0; index--) backward_layer(*engine, index, gradient);
    }
    if (gradient)
        for (int index = 0; index < plan.layers; index++) kept_gradient(*engine, index, gradient);
    return total;
}

/* Values at an edge, shape (count, size of the edge), of consecutive rows. */
void PUBLIC(engine_values)(Engine *engine, const float *parameters, const float *inputs, int64_t count,
                           int32_t edge, float *values) {
    const Plan &plan = *engine->plan;
    const int64_t size = edge ? size_out(plan.layer[edge - 1]) : plan.inputs;
    prepare(*engine, parameters, false);
    for (int64_t start = 0; start < count; start += LANES) {
        const int filled = smaller(count - start, LANES);
        int64_t rows[LANES];
        for (int lane = 0; lane < LANES; lane++) rows[lane] = start + lane;
        load_inputs(*engine, inputs, rows, filled);
        for (int index = 0; index < edge; index++) forward_layer(*engine, index, edge);
        unload(values + start * size, engine->value[edge], size, filled);
    }
}

/* One step of Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1); epsilon after the bias correction. */
void PUBLIC(adam)(float *parameters, const float *gradient, float *first, float *second, int64_t count,
                  double rate, double beta1, double beta2, double epsilon, int64_t step) {
    const float step_size = (float)(rate / (1.0 - pow(beta1, (double)step)));
    const float root = (float)sqrt(1.0 - pow(beta2, (double)step));
    const float keep1 = (float)beta1, keep2 = (float)beta2, new1 = (float)(1.0 - beta1);
    const float new2 = (float)(1.0 - beta2), least = (float)epsilon;
    for (int64_t j = 0; j < count; j++) {
        first[j] = keep1 * first[j] + new1 * gradient[j];
        second[j] = keep2 * second[j] + new2 * gradient[j] * gradient[j];
        parameters[j] -= step_size * first[j] / (sqrtf(second[j]) / root + least);
    }
}

}
