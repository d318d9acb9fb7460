#include "cli/live_view.h"

#include "base/clock.h"
#include "cli/session.h"
#include "decode/transcript_file.h"
#include "text/text_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MARGIN = 15, NARROWEST = 40, RECENT = 64 };

#define BRIGHT "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"
#define REDRAW 0.1 /* seconds between two drawings of the line on how it goes */

static const char *const used[TASK_COUNT] = {
    [TASK_ASR] = "sound", [TASK_VSR] = "lips", [TASK_AVSR] = "both"};

void live_view_init(struct live_view *v, bool json, bool quiet)
{
    *v = (struct live_view){
        .json = json, .quiet = quiet, .terminal = isatty(STDOUT_FILENO) && !json};
    v->colours = v->terminal && !getenv("NO_COLOR");
}

static int columns(void)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    return size.ws_col > NARROWEST ? size.ws_col : NARROWEST;
}

static const char *style(const struct live_view *v, const char *code)
{
    return v->colours ? code : "";
}

/* Takes away what is drawn below the lines that stay. */
static void wipe(struct live_view *v)
{
    for (int i = 0; i < v->lines; i++)
        fputs(i ? "\033[A\r\033[K" : "\r\033[K", stdout);
    v->lines = 0;
}

/* ---- lines of JSON ------------------------------------------------------------------------- */

/* {"event", "at", ...}: o's fields behind them; o is taken. */
static int print_event(const char *name, double at, json_t *o, struct error *err)
{
    json_t *event = json_pack("{s:s, s:o}", "event", name, "at", number_json(at));
    int rc = o && event ? json_object_update(event, o) : -1;
    if (!rc) {
        json_dumpf(event, stdout, JSON_REAL_PRECISION(10));
        fputc('\n', stdout);
        fflush(stdout);
    }
    json_decref(event);
    json_decref(o);
    return rc ? error_set(err, ERROR_MEMORY, "out of memory") : 0;
}

static json_t *figures_json(const struct latency_figures *f)
{
    return json_pack("{s:o, s:o}", "median", number_json(f->median), "p95", number_json(f->p95));
}

/* ---- the line on how it goes --------------------------------------------------------------- */

/* One character, the louder the higher. */
static const char *meter(double level)
{
    static const char *const bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const int n = (int)floor((level + 60) / 6);
    return bars[n < 0 ? 0 : n > 8 ? 8 : n];
}

static void draw_state(const struct live_view *v, const struct live_state *s)
{
    struct latency_figures f;
    char rate[SESSION_NAME] = "";
    const long now = (long)s->now;
    printf("%s%s %s", style(v, DIM), s->sound ? meter(s->level) : "-",
           !s->pictures ? "no picture"
           : s->face    ? "face      "
                        : "no face   ");
    if (s->audio_rate || s->video_rate) {
        session_rate_name(rate, s->audio_rate, s->video_rate);
        printf("  %s %s", used[s->task], rate);
    }
    printf("  behind %.1f s", s->behind > 0 ? s->behind : 0);
    if (s->latency->total && latency_figures(s->latency, s->latency->shown, RECENT, &f))
        printf("  latency %.2f s, 95 %% %.2f s", f.median, f.p95);
    printf("  %ld:%02ld%s", now / 60, now % 60, style(v, PLAIN));
}

/* ---- the utterance that goes on ------------------------------------------------------------ */

/* The first of the last words that fit into a width. */
static int first_shown(const struct words *words, int width)
{
    int first = words->count;
    while (first > 0) {
        width -= (int)strlen(words->list[first - 1].text) + 1;
        if (width < 0)
            break;
        first--;
    }
    return first;
}

static void print_word(const char *text)
{
    for (; *text; text++) /* no control characters: a model may say anything */
        fputc((unsigned char)*text < 32 || *text == 127 ? ' ' : *text, stdout);
}

static void draw_words(const struct live_view *v, const struct utterance *u)
{
    const int first = first_shown(&u->words, columns() - MARGIN - 1);
    printf("%*s", MARGIN, "");
    for (int i = first; i < u->words.count; i++) {
        fputs(style(v, i < u->settled ? BRIGHT : DIM), stdout);
        print_word(u->words.list[i].text);
        printf("%s ", style(v, PLAIN));
    }
}

static void draw(struct live_view *v, const struct live_state *s, const struct utterance *u)
{
    wipe(v);
    draw_words(v, u);
    fputc('\n', stdout);
    draw_state(v, s);
    fflush(stdout);
    v->lines = 2;
    v->drawn = clock_seconds();
}

int live_view_partial(struct live_view *v, const struct live_state *s, const struct utterance *u,
                      struct error *err)
{
    if (v->json && u->words.count) {
        json_t *o = utterance_json(u, err);
        if (o)
            json_object_set_new(o, "settled", json_integer(u->settled));
        return print_event("partial", s->now, o, err);
    }
    if (v->terminal && (u->words.count || clock_seconds() - v->drawn >= REDRAW))
        draw(v, s, u);
    return 0;
}

int live_view_final(struct live_view *v, const struct live_state *s, const struct utterance *u,
                    struct error *err)
{
    const struct utterance nothing = {0};
    if (v->json)
        return print_event("final", s->now, utterance_json(u, err), err);
    wipe(v);
    if (v->terminal)
        printf("%s%7.1f  %-5s%s ", style(v, DIM), u->start, used[u->task], style(v, PLAIN));
    for (int i = 0; i < u->words.count; i++) {
        print_word(u->words.list[i].text);
        fputc(i + 1 < u->words.count ? ' ' : '\n', stdout);
    }
    if (v->terminal)
        draw(v, s, &nothing);
    fflush(stdout);
    return 0;
}

void live_view_end(struct live_view *v, const struct live_state *s)
{
    const struct latency *l = s->latency;
    struct latency_figures shown, settled;
    struct error err;
    wipe(v);
    if (!latency_figures(l, l->shown, 0, &shown) || !latency_figures(l, l->settled, 0, &settled))
        return;
    if (v->json)
        print_event("end", s->now,
                    json_pack("{s:I, s:o, s:o, s:I}", "words", (json_int_t)l->total, "shown",
                              figures_json(&shown), "settled", figures_json(&settled), "taken_back",
                              (json_int_t)l->taken_back),
                    &err);
    if (v->quiet || !l->total)
        return;
    fflush(stdout);
    fprintf(
        stderr,
        "mome: %lld words, from the end of each to its text: median %.2f s, 95 %% within %.2f s; "
        "settled after %.2f s, 95 %% within %.2f s; %lld were taken back\n",
        (long long)l->total, shown.median, shown.p95, settled.median, settled.p95,
        (long long)l->taken_back);
}
