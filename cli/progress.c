#include "cli/progress.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WIDTH 24 /* of the bar */

void progress_start(struct progress *p, const char *label, bool quiet)
{
    *p = (struct progress){.label = label, .quiet = quiet, .start = clock_seconds()};
}

static void format_time(char *out, size_t size, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

void progress_update(struct progress *p, int64_t done, int64_t total, double seconds_left,
                     const char *detail)
{
    bool terminal = isatty(STDERR_FILENO);
    double now = clock_seconds(), pause = terminal ? 0.1 : 30;
    if (p->quiet || (p->drawn && done < total && now - p->last_draw < pause))
        return;
    if (!terminal && !p->drawn && done < total && now - p->start < pause)
        return;
    double share = total > 0 ? (double)done / (double)total : 0;
    if (seconds_left < 0)
        seconds_left = share > 0 ? (now - p->start) * (1 - share) / share : 0;
    char bar[WIDTH + 1], left[32];
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < (int)(share * WIDTH) ? '#' : '.';
    bar[WIDTH] = 0;
    format_time(left, sizeof left, seconds_left);
    fprintf(stderr, "%s%s [%s] %lld/%lld  ETA %s  %s%s", terminal ? "\r\033[K" : "", p->label, bar,
            (long long)done, (long long)total, left, detail ? detail : "", terminal ? "" : "\n");
    fflush(stderr);
    p->last_draw = now;
    p->drawn = true;
}

void progress_note(struct progress *p, const char *text)
{
    bool terminal = isatty(STDERR_FILENO);
    fprintf(stderr, "%s%s\n", terminal && p->drawn ? "\r\033[K" : "", text);
}

void progress_end(struct progress *p)
{
    if (p->drawn && !p->quiet && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
