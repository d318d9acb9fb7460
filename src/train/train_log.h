/* log.jsonl of a run: appended to, one JSON object a line, flushed with every line. */
#ifndef TRAIN_TRAIN_LOG_H
#define TRAIN_TRAIN_LOG_H

#include "train/trainer.h"

#include <stdio.h>

struct train_log {
    FILE *stream;
    const char *path; /* borrowed */
};

/* resume: go on with the file that is there, without the lines after `position` (they are done
   again); else a new one. */
int train_log_open(struct train_log *log, const char *path, bool resume, int stage, int64_t step,
                   struct error *err);
/* Full disk and the like: ERROR_IO. */
int train_log_step(struct train_log *log, const struct train_report *report, struct error *err);
void train_log_close(struct train_log *log);

#endif
