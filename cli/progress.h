/* A progress line on stderr: bar, share, ETA. Redrawn in place on a terminal; elsewhere a plain
   line now and then. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label;
    bool quiet;
    double start, last_draw; /* seconds */
    bool drawn;
};

void progress_start(struct progress *p, const char *label, bool quiet);
/* detail (may be NULL) stands behind the bar; seconds_left < 0: estimated from the share done. */
void progress_update(struct progress *p, int64_t done, int64_t total, double seconds_left,
                     const char *detail);
/* The same of media: seconds of so many are done (total 0: not known), shown as times with the
   real-time factor, time taken / media done. */
void progress_media(struct progress *p, double done, double total, const char *detail);
/* A whole line of its own, above the bar. */
void progress_note(const struct progress *p, const char *text);
void progress_end(struct progress *p); /* takes the bar away */

#endif
