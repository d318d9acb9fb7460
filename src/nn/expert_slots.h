/*
 * How experts are used: each of some rows has K slots in every layer (nn/experts.h), and of them
 * each routed expert gets its share.
 */
#ifndef NN_EXPERT_SLOTS_H
#define NN_EXPERT_SLOTS_H

#include "base/error.h"
#include "tensor/tensor.h"

#include <stdint.h>

struct expert_slots {
    int layers, routed; /* zeros: there is no expert to choose */
    double *count;      /* [layers, routed]: slots that each expert got; owned */
};

int expert_slots_init(struct expert_slots *s, int layers, int routed, struct error *err);
void expert_slots_release(struct expert_slots *s); /* also fine on a zeroed struct */

/* Adds what some rows chose: chosen [layers, all, active], as struct expert_report has it. */
void expert_slots_choose(struct expert_slots *s, const int32_t *chosen, int64_t all, int active,
                         struct span rows);
/* Adds those of others, which then are gone; s may be a zeroed struct. */
void expert_slots_join(struct expert_slots *s, struct expert_slots *others);
/* share [layers, routed]: 1 in the sum of a layer; zeros where nothing was chosen. */
void expert_slots_share(double *share, const struct expert_slots *s);

#endif
