/* A network as `engine.cpp` sees it; `codesign/training/compiled.py` declares the same to ctypes. */
#ifndef CODESIGN_ENGINE_H
#define CODESIGN_ENGINE_H

#include "kernels.h"

enum Kind { AFFINE, RELU, SIGMOID, POOL, UPSAMPLE };
enum LossKind { SQUARES, LARGER_SQUARES, TRANSPORT };

/* Fixed point: value = code * scale. A scale of 0 means none. */
struct Format {
    float scale, minimum, maximum;
};

/* For each of some places, start[place] to start[place + 1] of two lists. `place`: all places, those with the
 * same taps in a row; from place[j] on, alike[j] of them have the same. */
struct Links {
    const int32_t *start, *pixel, *tap, *place, *alike;
};

struct Layer {
    int32_t kind, pixels_in, pixels_out, channels_in, channels_out, taps;
    int64_t weight, bias;      /* offsets in the parameters; weight [tap][in][out] */
    struct Format weight_format, bias_format;
    float bias_offset;         /* added to the rounded bias: half an accumulator LSB, see half_up.py */
    struct Format output;      /* of an activation; its minimum is 0 */
    struct Links links;        /* by output pixel: input pixel and tap */
    struct Links back;         /* by input pixel: output pixel and tap */
    struct Links pairs;        /* by tap: input pixel and, in `tap`, output pixel */
};

struct Loss {
    int32_t kind, outputs, sums;
    const int32_t *index;      /* of each compared output in the last edge */
    const int32_t *start, *member; /* of each sum */
    const float *weight;       /* of each sum */
    const double *distances;   /* of optimal transport, (outputs, outputs) */
    const int32_t *order;      /* its pairs by distance */
};

struct Plan {
    int32_t layers, inputs, outputs;
    int64_t parameters;
    struct Format input_format;
    const struct Layer *layer;
    struct Loss loss;
};

#endif
