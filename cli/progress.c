#include "cli/progress.h"
#include "base/clock.h"

#include <math.h>
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

/* Whether it is time to draw: at once and often on a terminal, seldom elsewhere. */
static bool due(const struct progress *p, bool done, double now)
{
    const bool terminal = isatty(STDERR_FILENO);
    if (p->quiet || done || (terminal && !p->drawn))
        return !p->quiet;
    return now - fmax(p->start, p->last_draw) >= (terminal ? 0.1 : 30);
}

static void draw(struct progress *p, double share, const char *counts, double seconds_left,
                 const char *detail, double now)
{
    const bool terminal = isatty(STDERR_FILENO);
    if (seconds_left < 0 && share > 0)
        seconds_left = (now - p->start) * (1 - share) / share;
    char bar[WIDTH + 1], left[32] = "?";
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < (int)(share * WIDTH) ? '#' : '.';
    bar[WIDTH] = 0;
    if (seconds_left >= 0)
        format_time(left, sizeof left, seconds_left);
    fprintf(stderr, "%s%s [%s] %s  ETA %s  %s%s", terminal ? "\r\033[K" : "", p->label, bar, counts,
            left, detail, terminal ? "" : "\n");
    fflush(stderr);
    p->last_draw = now;
    p->drawn = true;
}

void progress_update(struct progress *p, int64_t done, int64_t total, double seconds_left,
                     const char *detail)
{
    const double now = clock_seconds();
    char counts[64];
    if (!due(p, done >= total, now))
        return;
    snprintf(counts, sizeof counts, "%lld/%lld", (long long)done, (long long)total);
    draw(p, total > 0 ? (double)done / (double)total : 0, counts, seconds_left,
         detail ? detail : "", now);
}

void progress_media(struct progress *p, double done, double total, const char *detail)
{
    const double now = clock_seconds();
    char counts[80], of[32], factor[64] = "";
    if (!due(p, total > 0 && done >= total, now))
        return;
    format_time(counts, 32, done);
    format_time(of, sizeof of, total);
    if (total > 0)
        snprintf(counts + strlen(counts), sizeof counts - strlen(counts), "/%s", of);
    if (done > 0)
        snprintf(factor, sizeof factor, "RTF %.2f  ", (now - p->start) / done);
    strncat(factor, detail, sizeof factor - strlen(factor) - 1);
    draw(p, total > 0 ? fmin(1, done / total) : 0, counts, -1, factor, now);
}

void progress_note(const struct progress *p, const char *text)
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
