/* Exact Earth Mover's Distance of rows of bins: a network simplex for transportation problems.
 *
 * The distance is a metric, so the mass that both rows have in a cell stays there and only differences move:
 * from cells with a surplus (sources) to cells with a deficit (sinks). A basis is a spanning tree over both;
 * every node but the root keeps the flow of the arc to its parent, which goes from the source to the sink
 * whichever of them is the child, and the set of nodes below it as bits. An arc that costs less than the
 * difference of the potentials enters and closes a cycle; the arc of the cycle that runs empty first leaves.
 *
 * Trees are strongly feasible (Cunningham 1976, Mathematical Programming 11, 105; Ahuja, Magnanti and Orlin
 * 1993, Network Flows, 11.6): empty arcs point to the root. So ties cannot make it cycle, and it is finite.
 */
#include "transport.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef uint64_t set;
typedef double doubles __attribute__((vector_size(4 * LANES), aligned(8), may_alias));
typedef int64_t whole __attribute__((vector_size(4 * LANES), aligned(8), may_alias));

enum { WIDE = LANES / 2, STEP = 8, PARTS = STEP / WIDE };
enum { BITS = 64, MOST_WORDS = TRANSPORT_MOST_BINS / BITS, GIVE_UP = 1000000 };

static const double TOLERANCE = 1e-14; /* of the largest distance; rounding errors stay below a third of it */

/* Sources come first, then sinks. */
struct Problem {
    int32_t sources, sinks, stride, root;
    int32_t *cell, *parent, *stack;
    double *potential, *flow, *cost; /* cost: a row of `stride` for each source, filled up with infinity */
    double *share;                   /* by cell: difference of the shares */
    set *below;                      /* words per node: itself and what hangs from it */
    double tolerance;
};

INLINE int nodes(const struct Problem *p) { return p->sources + p->sinks; }

static struct Problem lay_out(double *workspace, int32_t bins) {
    int64_t padded = (bins + 15) / 8 * 8;
    struct Problem p = {.potential = workspace};
    p.flow = p.potential + padded;
    p.share = p.flow + padded;
    p.below = (set *)(p.share + padded);
    p.cell = (int32_t *)(p.below + MOST_WORDS * padded);
    p.parent = p.cell + padded;
    p.stack = p.parent + padded;
    p.cost = workspace + 9 * padded;
    return p;
}

INLINE double sum(const double *x, int32_t count) {
    double part[STEP] = {0}, total = 0;
    int32_t i = 0;
    for (; i + STEP <= count; i += STEP)
        for (int l = 0; l < STEP; l++) part[l] += x[i + l];
    for (; i < count; i++) total += x[i];
    for (int l = 0; l < STEP; l++) total += part[l];
    return total;
}

INLINE void mark(set *of, int node) { of[node / BITS] |= (set)1 << node % BITS; }

INLINE int has(const set *of, int node) { return of[node / BITS] >> node % BITS & 1; }

/* Sort the cells into sources and sinks and copy the distances between them. */
INLINE void set_up(struct Problem *p, const double *x, double of_x, const double *y, double of_y, int32_t bins,
                   const double *distances) {
    int32_t sources = 0, sinks = 0;
    int32_t *sink = p->stack;
    for (int32_t b = 0; b < bins; b++) p->share[b] = x[b] / of_x - y[b] / of_y;
    for (int32_t b = 0; b < bins; b++) {
        p->cell[sources] = b;
        sink[sinks] = b;
        sources += p->share[b] > 0;
        sinks += p->share[b] < 0;
    }
    memcpy(p->cell + sources, sink, sinks * sizeof *sink);
    p->sources = sources;
    p->sinks = sinks;
    p->stride = (sinks + STEP - 1) / STEP * STEP;
    for (int n = 0; n < sources + sinks; n++) p->flow[n] = fabs(p->share[p->cell[n]]);
    double largest = 0;
    for (int i = 0; i < sources; i++) {
        double *row = p->cost + i * p->stride;
        const double *from = distances + (int64_t)p->cell[i] * bins;
        for (int j = 0; j < sinks; j++) row[j] = from[p->cell[sources + j]];
        for (int j = 0; j < sinks; j++) largest = row[j] > largest ? row[j] : largest;
        for (int j = sinks; j < p->stride; j++) row[j] = INFINITY;
    }
    p->tolerance = TOLERANCE * largest;
}

INLINE void hang(struct Problem *p, int child, int parent, int words) {
    p->parent[child] = parent;
    p->flow[parent] -= p->flow[child];
    for (int w = 0; w < words; w++) p->below[parent * words + w] |= p->below[child * words + w];
}

/* First tree: of the closest pair that is left, what runs out hangs from the other. Of equal ones the sink
 * does, so that no sink that is left is empty and no empty arc points away from the root. `flow` is what is
 * left of a node until it is the flow to its parent. */
INLINE void start(struct Problem *p, const int32_t *order, int words) {
    uint8_t kind[TRANSPORT_MOST_BINS] = {0}, node[TRANSPORT_MOST_BINS];
    const int sources = p->sources, all = nodes(p);
    memset(p->below, 0, (size_t)(all * words) * sizeof(set));
    for (int n = 0; n < all; n++) {
        mark(p->below + n * words, n);
        kind[p->cell[n]] = 1 + (n >= sources);
        node[p->cell[n]] = (uint8_t)n;
    }
    int left_sources = sources, left_sinks = p->sinks;
    while (left_sources > 1 && left_sinks > 1) {
        int a = *order >> 8, b = *order & 255;
        order++;
        if (kind[a] + kind[b] != 3) continue;
        int source = kind[a] == 1 ? a : b, sink = kind[a] == 1 ? b : a;
        int i = node[source], j = node[sink];
        int empties = p->flow[i] < p->flow[j];
        if (empties) hang(p, i, j, words);
        else hang(p, j, i, words);
        kind[empties ? source : sink] = 0;
        left_sources -= empties;
        left_sinks -= !empties;
    }
    int kept = left_sources == 1 ? 1 : 2;
    for (int n = 0; n < all; n++)
        if (kind[p->cell[n]] == kept) p->root = n;
    for (int n = 0; n < all; n++)
        if (n != p->root && kind[p->cell[n]]) hang(p, n, p->root, words);
    p->parent[p->root] = -1;
}

INLINE double arc_cost(const struct Problem *p, int child, int parent) {
    return child < parent ? p->cost[child * p->stride + parent - p->sources]
                          : p->cost[parent * p->stride + child - p->sources];
}

/* Potentials of the tree, without what updates have rounded. */
INLINE void settle(struct Problem *p) {
    set known[MOST_WORDS] = {0};
    mark(known, p->root);
    p->potential[p->root] = 0;
    for (int n = 0; n < nodes(p); n++) {
        int depth = 0;
        for (int v = n; !has(known, v); v = p->parent[v]) p->stack[depth++] = v;
        while (depth > 0) {
            int v = p->stack[--depth], up = p->parent[v];
            double cost = arc_cost(p, v, up);
            p->potential[v] = p->potential[up] + (v < up ? cost : -cost);
            mark(known, v);
        }
    }
    for (int n = nodes(p); n < nodes(p) + STEP; n++) p->potential[n] = 0;
}

INLINE doubles at(const double *place) { return *(const doubles *)place; }

INLINE doubles smaller(doubles a, doubles b) {
    whole less = a < b;
    return (doubles)((less & (whole)a) | (~less & (whole)b));
}

/* Sink whose arc from `source` gains most; -1 if none gains. Its reduced cost goes to `gain`. */
INLINE int entering(const struct Problem *p, int source, double *gain) {
    const double *cost = p->cost + source * p->stride, *sink = p->potential + p->sources;
    doubles least[PARTS];
    for (int v = 0; v < PARTS; v++) least[v] = at(cost + v * WIDE) + at(sink + v * WIDE);
    for (int j = STEP; j < p->stride; j += STEP)
        for (int v = 0; v < PARTS; v++)
            least[v] = smaller(at(cost + j + v * WIDE) + at(sink + j + v * WIDE), least[v]);
    for (int v = 1; v < PARTS; v++) least[0] = smaller(least[v], least[0]);
    double found = least[0][0];
    for (int l = 1; l < WIDE; l++) found = least[0][l] < found ? least[0][l] : found;
    if (!(found < p->potential[source] - p->tolerance)) return -1;
    int j = 0;
    while (cost[j] + sink[j] != found) j++;
    *gain = found - p->potential[source];
    return p->sources + j;
}

INLINE void shift(struct Problem *p, const set *which, double by, int words) {
    for (int w = 0; w < words; w++)
        for (set left = which[w]; left; left &= left - 1) p->potential[w * BITS + __builtin_ctzll(left)] += by;
}

/* Bring the arc into the tree. The cycle runs from its apex down to the source and from the sink up again; of
 * the arcs that run empty first, the last one on that way leaves. */
INLINE void pivot(struct Problem *p, int source, int sink, double gain, int words) {
    int32_t *parent = p->parent;
    double *flow = p->flow, moved = INFINITY;
    set *below = p->below;
    int leaving = -1, apex, v;
    for (apex = source; !has(below + apex * words, sink); apex = parent[apex])
        if (apex < p->sources && flow[apex] < moved) moved = flow[leaving = apex];
    int of_source = leaving;
    for (v = sink; v != apex; v = parent[v])
        if (v >= p->sources && flow[v] <= moved) moved = flow[leaving = v];
    of_source = leaving == of_source;
    int inside = of_source ? source : sink, outside = of_source ? sink : source;
    set cut[MOST_WORDS], old[MOST_WORDS], lower[MOST_WORDS] = {0};
    for (int w = 0; w < words; w++) cut[w] = below[leaving * words + w];

    for (v = source; v != apex; v = parent[v]) flow[v] += v < p->sources ? -moved : moved;
    for (v = sink; v != apex; v = parent[v]) flow[v] += v < p->sources ? moved : -moved;
    for (v = parent[leaving]; v != apex; v = parent[v])
        for (int w = 0; w < words; w++) below[v * words + w] &= ~cut[w];
    for (v = outside; v != apex; v = parent[v])
        for (int w = 0; w < words; w++) below[v * words + w] |= cut[w];

    double carried = moved;
    for (int up = outside, done = 0; !done; done = up == leaving) {
        int next = parent[inside];
        double own = flow[inside];
        parent[inside] = up;
        flow[inside] = carried;
        for (int w = 0; w < words; w++) {
            old[w] = below[inside * words + w];
            below[inside * words + w] = cut[w] & ~lower[w];
            lower[w] = old[w];
        }
        carried = own;
        up = inside;
        inside = next;
    }
    shift(p, cut, of_source ? gain : -gain, words);
}

/* Go round the sources until none has an arc that gains. Number of pivots, at most `limit`. */
INLINE int64_t sweep(struct Problem *p, int64_t limit, int words) {
    int64_t pivots = 0;
    for (int source = 0, idle = 0; idle < p->sources && pivots < limit; source++) {
        double gain;
        if (source == p->sources) source = 0;
        int sink = entering(p, source, &gain);
        idle++;
        if (sink < 0) continue;
        pivot(p, source, sink, gain, words);
        idle = 0;
        pivots++;
    }
    return pivots;
}

/* Least work, or NaN after `limit` pivots. The last sweep finds no gain with fresh potentials: an optimum. */
INLINE double solve(struct Problem *p, const int32_t *order, int64_t limit, int words) {
    start(p, order, words);
    int64_t pivots;
    do {
        settle(p);
        pivots = sweep(p, limit, words);
        limit -= pivots;
    } while (pivots > 0 && limit > 0);
    if (pivots > 0) return NAN;
    double work = 0;
    for (int n = 0; n < nodes(p); n++)
        if (n != p->root) work += p->flow[n] * arc_cost(p, n, p->parent[n]);
    return work;
}

/* d work / d prediction. The potential of every cell is the least of potential and distance over the sinks: the
 * largest function that never rises faster than the distance and has these values; then the normalisation. */
INLINE void differentiate(const struct Problem *p, const double *prediction, double total, int32_t bins,
                          const double *distances, double *gradient) {
    for (int32_t b = 0; b < bins; b++) gradient[b] = INFINITY;
    for (int n = p->sources; n < nodes(p); n++) {
        const double *row = distances + (int64_t)p->cell[n] * bins, own = p->potential[n];
        for (int32_t b = 0; b < bins; b++)
            gradient[b] = row[b] + own < gradient[b] ? row[b] + own : gradient[b];
    }
    for (int32_t b = 0; b < bins; b++) p->share[b] = gradient[b] * (prediction[b] / total);
    double mean = sum(p->share, bins);
    for (int32_t b = 0; b < bins; b++) gradient[b] = (gradient[b] - mean) / total;
}

INLINE double constant(double value, double *gradient, int32_t bins) {
    for (int32_t b = 0; gradient && b < bins; b++) gradient[b] = value;
    return value;
}

static double loss(const double *prediction, const double *target, int32_t bins, const double *distances,
                   const int32_t *order, int64_t limit, double *gradient, double *workspace) {
    double predicted = sum(prediction, bins), wanted = sum(target, bins), work;
    if (predicted == 0 || wanted == 0) return constant(0, gradient, bins);
    if (!isfinite(predicted) || !isfinite(wanted)) return constant(NAN, gradient, bins);
    struct Problem p = lay_out(workspace, bins);
    set_up(&p, prediction, predicted, target, wanted, bins, distances);
    if (!p.sources || !p.sinks) return constant(0, gradient, bins);
    work = nodes(&p) <= BITS ? solve(&p, order, limit, 1) : solve(&p, order, limit, MOST_WORDS);
    if (isnan(work)) return constant(NAN, gradient, bins);
    if (gradient) differentiate(&p, prediction, predicted, bins, distances, gradient);
    return work;
}

double JOIN(transport_loss, ISA)(const double *prediction, const double *target, int32_t bins,
                                 const double *distances, const int32_t *order, double *gradient,
                                 double *workspace) {
    return loss(prediction, target, bins, distances, order, GIVE_UP, gradient, workspace);
}

/* The same for many rows. work: shape (rows,); gradient: shape (rows, bins), or NULL. After `limit` pivots, a
 * row is NaN. Number of such rows; -1 without memory. */
int64_t PUBLIC(transport)(const double *prediction, const double *target, int64_t rows, int32_t bins,
                          const double *distances, const int32_t *order, int64_t limit, double *work,
                          double *gradient) {
    double *workspace = malloc(transport_workspace(bins) * sizeof(double));
    int64_t given_up = 0;
    if (!workspace) return -1;
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = row * bins;
        work[row] = loss(prediction + at, target + at, bins, distances, order, limit,
                         gradient ? gradient + at : NULL, workspace);
        given_up += isnan(work[row]);
    }
    free(workspace);
    return given_up;
}
