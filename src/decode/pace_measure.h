/*
 * The measurement behind a pace (decode/pace.h): a second or two of made-up clips of growing length
 * through encoders, LLM and search, finest and coarsest rate, one beam and several. What came of it
 * is kept in $XDG_CACHE_HOME/mome (else ~/.cache/mome), in a file
 *
 *     pace-KEY.json   {"format": "mome-pace-1", "key": KEY, "audio": [..], "video": [..],
 *                      "decoder": [..], "audio_bytes": [..], "video_bytes": [..],
 *                      "decoder_bytes": [..]}
 *
 * KEY is a hash of all that the numbers depend on: the model's config, processor, threads,
 * precision, window, whether CTC is read, and the program itself.
 */
#ifndef DECODE_PACE_MEASURE_H
#define DECODE_PACE_MEASURE_H

#include "decode/pace.h"
#include "decode/transcriber.h"

/* Takes away what is loaded. options: its beam and CTC weight. costs NULL: the shortest clip alone,
   which makes a cold model warm. */
int pace_measure(struct pace_costs *costs, struct transcriber *t,
                 const struct beam_options *options, struct error *err);

/* The pace of a transcriber: its file's numbers, or measured and written there; either way the
   model has run once, so that the next request is none that finds it cold. A file that is broken or
   can't be written is no error but told to note (may be NULL). */
int pace_open(struct pace *p, struct transcriber *t, const struct beam_options *options,
              void (*note)(void *arg, const char *message), void *arg, struct error *err);

/* The file's numbers alone. Reading: what is there must be a pace of that key in every detail. */
int pace_file_read(struct pace_costs *costs, const char *path, uint64_t key, struct error *err);
int pace_file_write(const struct pace_costs *costs, const char *path, uint64_t key,
                    struct error *err);

#endif
