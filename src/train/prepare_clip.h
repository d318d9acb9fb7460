/*
 * One clip of a data set -> prepared clips: 96x96 gray mouths and 16 kHz sound, in an ordinary
 * media file without loss (media/writer.h's .mkv), which every reader of ours takes for a mouth
 * already.
 *
 * A clip that is longer than the limit is cut in the longest pauses between its words, where their
 * times are known:
 *
 *     words   |--one--|  |two| |--three--|     |--four--|
 *     pieces  |---------------- 1 -----------|---- 2 ---...|
 *
 * A whole clip DIR/a/b.mp4 becomes OUT/clips/a/b.mkv, its pieces OUT/pieces/a/b/1.mkv ...
 */
#ifndef TRAIN_PREPARE_CLIP_H
#define TRAIN_PREPARE_CLIP_H

#include "features/face.h"
#include "train/import.h"

#define PREPARE_LEAST_FRAMES 12 /* with a mouth; as auto_avsr's preparation has it */

enum prepare_streams { PREPARE_BOTH, PREPARE_SOUND, PREPARE_LIPS };

struct piece { /* of a clip */
    int32_t first_word, word_count;
    int32_t start_ms, end_ms; /* the last one's end, if that is earlier, is the clip's */
};

struct outcome { /* of a piece */
    enum drop drop;
    int64_t bytes; /* of its file */
    int32_t ms;    /* that sound and pictures both have */
};

struct prepared {
    bool known;               /* zeroed: nothing is known of the clip yet */
    enum drop drop;           /* of all of it */
    char *detail;             /* of the drop, may be NULL */
    struct outcome *outcomes; /* [count]; NULL, 0 where it is dropped */
    int count;
};

struct prepare_place { /* where and how */
    const char *root, *output;
    const char *temporary; /* path of a file of the caller's own, .mkv, on the output's disk */
    struct face_finder *finder;
    enum prepare_streams streams;
    int32_t most_ms;
};

/* The pieces of at most most_ms (a multiple of 40) that a clip is to be cut into; *pieces freed by
   memory_free. Returns their number; 1: it stays whole; ERROR_MEMORY. */
int prepare_plan(struct piece **pieces, const struct spoken *t, int32_t most_ms);

/* Path of piece `index` of `count` below the output folder; freed by memory_free; NULL: no memory.
 */
char *prepare_name(const struct import_clip *clip, int index, int count);

/* What is wrong with the clip is an outcome; an error ends all work (memory, disk). */
int prepare_clip(struct prepared *p, const struct prepare_place *place,
                 const struct import_clip *clip, struct error *err);
void prepared_release(struct prepared *p);

#endif
