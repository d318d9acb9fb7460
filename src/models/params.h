/*
 * Visitors of the parameter walk (nn/param.h). Each is used as
 *
 *     struct param_counter counter;
 *     param_counter_init(&counter);
 *     recognizer_params(r, &counter.visitor);
 *     ... counter.parameters ...
 *
 * Those that can fail keep the first error: `code` (0: good) and the message in `err`.
 */
#ifndef MODELS_PARAMS_H
#define MODELS_PARAMS_H

#include "base/error.h"
#include "base/random.h"
#include "nn/param.h"

/* Memory (zeroed) for every declared tensor that has none. */
struct param_allocator {
    struct param_visitor visitor;
    struct error *err;
    int code;
};
void param_allocator_init(struct param_allocator *a, struct error *err);

void param_releaser_init(struct param_visitor *v); /* frees; a part half allocated is fine */

/* Starting values by kind, but for what is borrowed. Two walks from the same seed give the same
   numbers. */
struct param_initialiser {
    struct param_visitor visitor;
    struct random random;
};
void param_initialiser_init(struct param_initialiser *i, uint64_t seed);

/* Sets trainable (gradient allocated) or frozen for the names that start with `prefix` ("" is all;
   buffers stay as they are). */
struct param_freezer {
    struct param_visitor visitor;
    const char *prefix;
    bool trainable;
    struct error *err;
    int code;
    int64_t matched; /* tensors */
};
void param_freezer_init(struct param_freezer *f, const char *prefix, bool trainable,
                        struct error *err);

struct param_counter {
    struct param_visitor visitor;
    int64_t tensors, parameters, trainable; /* parameters: elements, buffers not counted */
};
void param_counter_init(struct param_counter *c);

/* A flat list, for whatever wants to index or look up: optimiser, tests, `mome inspect`. Tensors
   stay the model's; the list is released by param_list_release. */
struct param_entry {
    char *name;
    struct tensor *tensor;
    enum param_kind kind;
};
struct param_list {
    struct param_visitor visitor;
    struct param_entry *entries;
    int64_t count, capacity;
    struct error *err;
    int code;
};
void param_list_init(struct param_list *l, struct error *err);
void param_list_release(struct param_list *l);
struct param_entry *param_list_find(const struct param_list *l, const char *name); /* or NULL */

/* Whether something that trains may stay as it is stored: matrices and tables, which only products
   and look-ups read. All else is float32 in memory. */
bool param_may_be_stored(const struct param_entry *e);

/*
 * Files. Loading is strict: every tensor of the list must be in the file with its shape (the error
 * names file, tensor and both shapes), and params_borrow also refuses what the list has not.
 * params_read copies into memory that is there, and leaves that to the caller, who has more in the
 * file (a training checkpoint). params_borrow gives frozen parameters the file's own memory where
 * type and alignment allow, and memory of their own else; the file must outlive them. Saved, what
 * is stored keeps its type; bf16 halves the rest of what is trained; buffers stay float32.
 */
struct checkpoint;
struct weights;
int params_save(const struct param_list *l, const char *path, bool bf16, const char *metadata_json,
                struct error *err);
int params_read(const struct param_list *l, struct checkpoint *c, struct error *err);
int params_borrow(const struct param_list *l, const struct weights *file, struct error *err);
/* The same for those of the list that the file has in their shape. */
int params_borrow_some(const struct param_list *l, const struct weights *file, struct error *err);

#endif
