/*
 * A data set as it was published -> a list of clips with their text. Four layouts:
 *
 *   folder   media files with NAME.txt beside them; or a manifest (text/manifest.h),
 * DIR/manifest.tsv lrs      LRS2, LRS3: NAME.mp4 with NAME.txt whose first line is "Text:  WORDS";
 * splits by lists (train.txt, val.txt, test.txt, pretrain.txt: lines "ID/00001 ...") or, where
 * there is no list, by the folder at the top (pretrain, trainval, test) csv      auto_avsr's
 * labels, DIR/NAME.csv or DIR/labels/NAME.csv: lines dataset,path,frames,token ids,text; each file
 * is a split grid     GRID's speakers: s1/bbaf3s.mpg, times in s1/align/, align/s1/, alignments/s1/
 * or align/ (NAME.align); without these the text is spelt by the file's name
 *
 * Where a video has NAME.wav or NAME.flac beside it, that is its sound if it has none itself.
 *
 * The folder is not trusted: a path that is absolute, has "..", or leads out over a link is left
 * out, as is what is no regular file. What is left out stays in the list, with the reason.
 */
#ifndef TRAIN_IMPORT_H
#define TRAIN_IMPORT_H

#include "train/import_text.h"

enum import_format {
    IMPORT_AUTO,
    IMPORT_FOLDER,
    IMPORT_LRS,
    IMPORT_CSV,
    IMPORT_GRID,
    IMPORT_FORMATS
};

/* Why a clip is left out: by the importer, the later ones when it is prepared. */
enum drop {
    DROP_NOT, /* it is not */
    DROP_BROKEN_LINE,
    DROP_OUTSIDE,
    DROP_MISSING,
    DROP_SAME_NAME,
    DROP_NO_TEXT,
    DROP_UNREADABLE,
    DROP_NO_SOUND,
    DROP_NO_PICTURES,
    DROP_NO_FACE,
    DROP_FEW_FACES,
    DROP_TOO_SHORT,
    DROP_TOO_LONG,
    DROPS
};

struct import_clip {
    char *path;  /* of the media file, below the root; or of what was left out, or FILE:LINE */
    char *sound; /* file beside it that may hold its sound, below the root; NULL: none */
    struct spoken spoken;
    const char *split; /* its name; NULL: none; owned by the list */
    enum drop drop;
    char *detail; /* of the drop; NULL: nothing more to say */
};

struct import_list {
    char *root;                /* folder that the paths are below */
    char *real;                /* the same, free of links */
    enum import_format format; /* what it was taken for */
    struct import_clip *clips; /* [count] by stem, in bytes; no two kept ones have the same */
    int64_t count, room;
    char **splits; /* [split_count] names, good as file names */
    int split_count;
};

/* source: a folder; or one manifest (.tsv) or label file (.csv), whose paths are below its own
   folder (its parent, if that is called "labels"). skip: a folder that is not looked into, NULL:
   none. A source without one good clip is an error. */
int import_open(struct import_list *list, const char *source, enum import_format format,
                const char *skip, struct error *err);
void import_release(struct import_list *list); /* also fine on a zeroed struct */

const char *import_format_name(enum import_format format);
bool import_format_find(enum import_format *format, const char *name);
const char *drop_name(enum drop drop); /* "no face" */

#endif
