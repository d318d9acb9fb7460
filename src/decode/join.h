/*
 * Joins the words of segments that overlap in time (features/segment.h). Both hold the words of the
 * overlap, those at its ends cut in half and so perhaps wrong:
 *
 *     ... the cat sat on th  |  hat sat on the mat ...     the longest common run: sat on
 *     ... the cat sat on the mat ...
 *
 * The longest run of words that is among the last JOIN_WORDS of the one and the first JOIN_WORDS of
 * the other makes the seam: what stands behind it in the first and before it in the second is left
 * out, which is at most twice the run's length. Among runs of one length, the one that leaves out
 * least. No such run: both stay whole.
 * Words are compared without case and punctuation. What follows the seam begins no earlier than
 * what stands before it ends.
 */
#ifndef DECODE_JOIN_H
#define DECODE_JOIN_H

#include "text/words.h"

#define JOIN_WORDS 6 /* that a second of fast speech holds */

/* Leaves out of both what the seam makes double, and moves no word before the seam into the other:
   before, then after, read on as one. */
void join_seam(struct words *before, struct words *after);

#endif
