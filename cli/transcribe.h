/* What the files of `mome transcribe` share. */
#ifndef CLI_TRANSCRIBE_H
#define CLI_TRANSCRIBE_H

#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "decode/show.h"
#include "features/face.h"

#include <jansson.h>

struct transcribe {
    struct session session;
    struct face_finder *finder;
    const char *debug_mouth;
    const char *show;   /* the video to write, or NULL */
    struct show *shown; /* what it will show; NULL: nothing */
    int face;           /* number asked for; 0: the one who speaks */
    struct inputs inputs;
    struct outputs outputs;
    bool writes;  /* into outputs; else results are printed, or go into json */
    json_t *json; /* array, or NULL */
    bool table;   /* several results a file */
    int name;     /* width of the longest path */

    bool asked; /* --progress */
    struct progress progress;
    char label[48], place[48]; /* of the file that is read */
};

/* A line on stderr about a file, unless --quiet. */
void transcribe_remark(const struct transcribe *t, const char *path, const char *text);
/* A line of what was said in a file, which it names where there are several. */
void transcribe_print(const struct transcribe *t, const char *path, const char *text);
/* What rates were chosen for something and what it took, and whether that was too much; rates 0, 0:
   they differ between its segments. */
void transcribe_say_pace(const struct transcribe *t, const char *path, const char *what,
                         const int rates[2], double seconds, bool late);
/* All that is asked of a file, taken as one clip. */
int transcribe_clip(struct transcribe *t, const char *path, struct error *err);

#endif
