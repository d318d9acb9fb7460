/*
 * When each word of a hypothesis was said, by forced alignment. The projected tokens are read by
 * CTC (models/ctc_head) at the finest rate of the modality, sound if there is any, with windows
 * that overlap: the projector does not know where a clip begins, so pooling from state 0, 1, ..,
 * rate - 1 on gives a row for every state (20 ms of sound, 40 ms of picture), centred on its
 * window:
 *
 *     states    0 1 2 3 4 5 ..
 *     rows      [- 0 -]
 *                 [- 1 -]              rate 4: row i is at state i + 2
 *
 * Of all ways to read the hypothesis' tokens from the rows, blanks between (ctc_prefix sums over
 * them), the likeliest gives each token its rows (Viterbi). A word is from the first row of its
 * first token to the last one of its last.
 *
 * A model whose projectors were not trained to be read so (config.json without "ctc_weight"), or
 * fewer rows than tokens: words are spread over what is not silent, in proportion to their letters.
 *
 * A word's confidence is the product of its tokens' probabilities as the search had them.
 */
#ifndef DECODE_ALIGN_H
#define DECODE_ALIGN_H

#include "decode/beam.h"
#include "text/words.h"

/* Rows [first, last] of one token. */
struct align_rows {
    int64_t first, last;
};

/* What a hypothesis is put on: one segment of a clip. */
struct align_source {
    const struct request *request;
    struct tensor *audio_states, *video_states; /* that the request reads */
    double start, end;                          /* of the segment in the clip, seconds */
    int64_t frames;                             /* of it, at 25 a second */
    const bool *sounds; /* [frames]: which are not silent; NULL: not known */
};

/* The likeliest way through logits [rows, count + 1], a column for each of ids[count] and the last
   for the blank; path[count]. False: there are too few rows (or no memory). */
bool align_path(struct align_rows *path, const float *logits, int64_t rows, const int32_t *ids,
                int count);

/* Appends the words of a hypothesis. ctc NULL: the projected tokens can't be read. */
int align_words(struct words *words, struct recognizer *r, struct compute *c,
                const struct ctc_head *ctc, const struct align_source *source,
                const struct hypothesis *h, struct error *err);

#endif
