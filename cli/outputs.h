/*
 * Where transcripts go: to stdout, or into a file for each medium and format, NAME.FORMAT without
 * the medium's own ending, beside the medium or in a folder (media found in a folder keep their
 * place below it). A file appears under its name when it is whole, and not before; what is there
 * already is left as it is unless it may be replaced: so a run that was stopped goes on with what
 * is missing, and a text that a person has corrected is safe.
 */
#ifndef CLI_OUTPUTS_H
#define CLI_OUTPUTS_H

#include "base/file.h"
#include "cli/inputs.h"
#include "decode/transcript_file.h"

#include <stdbool.h>

struct output {
    struct file_writer writer;
    struct transcript_file file;
};

struct outputs {
    bool formats[TRANSCRIPT_FORMATS]; /* asked for; none: text */
    const char *folder;               /* NULL: none was named */
    bool beside;                      /* each medium; neither this nor a folder: stdout */
    bool replace;

    struct output open[TRANSCRIPT_FORMATS]; /* [open_count], of the medium that is read */
    int open_count;
};

int outputs_formats(struct outputs *o, const char *list); /* "txt,srt"; -1: there is no such one */
/* Whether anything but lines of text on stdout is asked for, which are the command's to print. */
bool outputs_wanted(const struct outputs *o);
/* Before anything is read. ERROR_USAGE: stdout cannot take several formats, or files that are not
   text; two media would write one file; a medium would be written over. Makes the folder. */
int outputs_check(const struct outputs *o, const struct inputs *in, struct error *err);

/* A medium's files, or stdout; open_count 0: all are there. One of commit or abandon ends it. */
int outputs_open(struct outputs *o, const struct input *input, struct error *err);
int outputs_add(struct outputs *o, const struct utterance *u, struct error *err);
int outputs_commit(struct outputs *o, struct error *err);
void outputs_abandon(struct outputs *o); /* also fine when nothing is open */

#endif
