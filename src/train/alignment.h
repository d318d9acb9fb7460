/*
 * A start for projectors that little data suffices for: each projected token is to look like the
 * LLM's own embedding of the token that is being said, or like <pad> where none is, in the order of
 * the transcript:
 *
 *     L_align = mean over modalities, rates and clips of CTC(z; Y) / |Y|
 *
 * CTC and its logits are those of models/ctc_head, over the tokens that occur in transcripts. Where
 * it is known when each word was said, the known path takes the place of all that CTC sums over, so
 * that a token is read for as long as it is said, not in one row of its time (decode/align):
 *
 *     CTC(z; Y) -> -sum_i log P(token said in the middle of row i, or the blank | z_i)
 *
 * A rate too coarse for a transcript (fewer rows, or of a known path rows that say something, than
 * tokens) contributes nothing for it.
 */
#ifndef TRAIN_ALIGNMENT_H
#define TRAIN_ALIGNMENT_H

#include "models/recognizer.h"
#include "train/augment.h"

struct alignment {
    struct tensor table, bias; /* [columns, d], [columns]; column 0 is the blank */
    int32_t *column;           /* [ids] of a token; 0: does not occur */
    int64_t ids;
    float sharpness; /* t */
};

/* For all transcripts of a dataset. ERROR_USAGE where the tokenizer has no <pad>. */
int alignment_init(struct alignment *a, struct recognizer *r, const struct dataset *dataset,
                   struct error *err);
void alignment_release(struct alignment *a); /* also fine on a zeroed struct */

/* Encoder states and, for each example, its rows there (length 0: none); states NULL: none at all.
 */
struct alignment_batch {
    const struct example *examples; /* [count] */
    int count;
    struct tensor *audio;
    const struct span *audio_spans;
    struct tensor *video;
    const struct span *video_spans;
    const double *clips; /* [2] with sound, with pictures: in the step that this is a part of */
};

/* Scalar, or NULL where there is nothing to align. */
struct tensor *alignment_loss(const struct alignment *a, struct recognizer *r, struct compute *c,
                              const struct alignment_batch *batch);

#endif
