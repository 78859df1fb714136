/* Exact optimal transport between two rows of bins, as a loss. */
#ifndef CODESIGN_TRANSPORT_H
#define CODESIGN_TRANSPORT_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TRANSPORT_MOST_BINS = 256 };

/* Doubles of workspace for rows of `bins`: 9 arrays of bins, and the costs of half the bins to the others. */
static inline int64_t transport_workspace(int32_t bins) {
    int64_t padded = (bins + 15) / 8 * 8;
    return 9 * padded + (padded / 2 + 4) * (padded / 2 + 4);
}

/* Earth Mover's Distance of p / sum p and t / sum t, and its gradient with respect to p (not normalised).
 *
 * prediction, target: shape (bins,), not negative, 1 to 256 bins. distances: a metric, shape (bins, bins).
 * order: every pair of cells a < b once, as a << 8 | b, from the closest to the farthest.
 * gradient: shape (bins,), or NULL. workspace: `transport_workspace(bins)` doubles, aligned as doubles are.
 *
 * Without charge in either row, the distance and the gradient are 0. Where a sum is not finite or the simplex
 * gives up, which no known input brings about, they are NaN. */
double JOIN(transport_loss, ISA)(const double *prediction, const double *target, int32_t bins,
                                 const double *distances, const int32_t *order, double *gradient,
                                 double *workspace);

#ifdef __cplusplus
}
#endif

#endif
