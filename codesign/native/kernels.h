/* What every source has: names that end in the instruction set, and vectors as wide as its registers. */
#ifndef CODESIGN_KERNELS_H
#define CODESIGN_KERNELS_H

#include <stdint.h>

#define JOIN_(name, isa) name##_##isa
#define JOIN(name, isa) JOIN_(name, isa)
#define PUBLIC(name) __attribute__((visibility("default"))) JOIN(name, ISA)

#if defined(ISA_AVX512)
#define LANES 16
#elif defined(ISA_AVX2)
#define LANES 8
#else
#define LANES 4
#endif

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4 * LANES), may_alias));
typedef int32_t integers __attribute__((vector_size(4 * LANES), aligned(4 * LANES), may_alias));

#endif
