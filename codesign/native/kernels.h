/* What every source has: names that end in the instruction set, and vectors of 16 floats. */
#ifndef CODESIGN_KERNELS_H
#define CODESIGN_KERNELS_H

#include <stdint.h>

#define JOIN_(name, isa) name##_##isa
#define JOIN(name, isa) JOIN_(name, isa)
#define PUBLIC(name) __attribute__((visibility("default"))) JOIN(name, ISA)

#define LANES 16

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4 * LANES), may_alias));
typedef int32_t mask __attribute__((vector_size(4 * LANES), aligned(4 * LANES), may_alias));

#endif
