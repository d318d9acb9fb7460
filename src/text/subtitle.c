#include "text/subtitle.h"
#include "base/memory.h"
#include "text/normalize.h"

#include <math.h>
#include <string.h>
#include <utf8proc.h>

/*
 * Costs. A cue costs 1, so that few are made; an end in the middle of speech as much again, twice.
 * The others are set against that: half a second of pause inside a cue is as bad as one more cue,
 * 0.2 s too little to read as well.
 */
#define COST_CUE 1.0
#define COST_END 2.0      /* of a cue, in the middle of a phrase */
#define COST_LINE_END 1.0 /* of a line, there */
#define COST_UNEVEN 0.7   /* one line is full, the other empty */
#define COST_EMPTY 0.5    /* a cue without anything in it; so cues are about equally full */
#define COST_PAUSE 4.0    /* inside a cue, by its seconds squared */
#define COST_SENTENCE 0.5 /* that ends inside a cue */
#define COST_HURRY 5.0    /* by the seconds that are missing */

#define PHRASE_PAUSE 0.5 /* seconds; as good an end as a full stop */
#define LONG_PAUSE 1.0   /* seconds; no cue goes on behind it */

/* The words in hand, with all that is known of how to cut them. */
struct cutting {
    const struct word *words;
    int count;
    int wall;      /* no cue goes across this word's start; 0: none */
    long *before;  /* [count + 1]: characters of the words before, each with a space */
    double *worth; /* [count + 1]: how bad an end there is, 0 .. 1 */
    double *cost;  /* [count + 1]: of the best cues from there on */
    int *end;      /* [count]: of the cue that begins there, in the best cutting */
};

/* ---- what words are like ----------------------------------------------------------------- */

static long characters(const char *text)
{
    size_t left = strlen(text);
    utf8proc_int32_t state = 0, code, last = -1;
    long n = 0;
    while (left) {
        size_t bytes = normalize_character(&code, text, left);
        if (!bytes) { /* is shown as U+FFFD */
            bytes = 1;
            code = 0xfffd;
        }
        n += last < 0 || utf8proc_grapheme_break_stateful(last, code, &state);
        last = code;
        text += bytes;
        left -= bytes;
    }
    return n;
}

static bool among(int32_t code, const int32_t *list)
{
    while (*list && *list != code)
        list++;
    return *list != 0;
}

enum phrase { PHRASE_GOES_ON, PHRASE_CLAUSE, PHRASE_SENTENCE };

/* What ends with this word, by its punctuation; quotation marks and brackets are passed over. */
static enum phrase phrase_end(const char *text)
{
    static const int32_t closing[] = {'"', '\'', ')', ']', 0xbb, 0x2019, 0x201d, 0x300d, 0};
    static const int32_t sentence[] = {'.', '!', '?', 0x2026, 0x3002, 0xff01, 0xff1f, 0x61f, 0};
    static const int32_t clause[] = {',', ';', ':', 0x2013, 0x2014, 0x3001, 0xff0c, 0x60c, 0};
    size_t left = strlen(text), bytes;
    int32_t code = 0;
    while ((bytes = normalize_character_before(&code, text, left)) > 0 && among(code, closing))
        left -= bytes;
    if (!bytes)
        return PHRASE_GOES_ON;
    return among(code, sentence) ? PHRASE_SENTENCE
           : among(code, clause) ? PHRASE_CLAUSE
                                 : PHRASE_GOES_ON;
}

static double pause_before(const struct cutting *c, int word)
{
    return fmax(0, c->words[word].start - c->words[word - 1].end);
}

static double end_worth(const struct cutting *c, int word)
{
    static const double by_punctuation[] = {
        [PHRASE_GOES_ON] = 1, [PHRASE_CLAUSE] = 0.4, [PHRASE_SENTENCE] = 0.1};
    double by_pause = fmax(0, 1 - pause_before(c, word) / PHRASE_PAUSE);
    return fmin(by_pause, by_punctuation[phrase_end(c->words[word - 1].text)]);
}

/* ---- what a cue costs: words from .. to - 1 ---------------------------------------------- */

static long length(const struct cutting *c, int from, int to)
{
    return c->before[to] - c->before[from] - 1;
}

static bool fits(const struct cutting *c, int from, int to)
{
    return to - from == 1 || length(c, from, to) <= SUBTITLE_LINE;
}

/* The best end of the first line, and its cost; INFINITY: two lines do not hold them. */
static double lines_cost(const struct cutting *c, int from, int to, int *end)
{
    double least = INFINITY;
    *end = to;
    if (fits(c, from, to))
        return 0;
    for (int at = from + 1; at < to; at++) {
        if (!fits(c, from, at) || !fits(c, at, to))
            continue;
        double uneven = fabs((double)(length(c, from, at) - length(c, at, to))) / SUBTITLE_LINE;
        double cost = COST_UNEVEN * uneven + COST_LINE_END * c->worth[at];
        if (cost < least) {
            least = cost;
            *end = at;
        }
    }
    return least;
}

/* Until the next cue, or the end of time. */
static double seconds_to_read(const struct cutting *c, int from, int to)
{
    double end = to < c->count ? c->words[to].start - SUBTITLE_GAP : INFINITY;
    return end - c->words[from].start;
}

static double shortest(long characters)
{
    return fmax(SUBTITLE_SHORTEST, (double)characters / SUBTITLE_SPEED);
}

/* inside: of the pauses and sentences between its words. INFINITY: no such cue, and no longer one.
 */
static double cue_cost(const struct cutting *c, int from, int to, double inside)
{
    int first_line;
    double lines = lines_cost(c, from, to, &first_line);
    double heard = c->words[to - 1].end - c->words[from].start;
    if (isinf(lines) || (from < c->wall && to > c->wall) ||
        (to - from > 1 && heard > SUBTITLE_LONGEST))
        return INFINITY;
    double hurry = shortest(length(c, from, to)) - seconds_to_read(c, from, to);
    double empty = fmax(0, 1 - (double)length(c, from, to) / (2 * SUBTITLE_LINE));
    return COST_CUE + lines + inside + COST_END * c->worth[to] + COST_HURRY * fmax(0, hurry) +
           COST_EMPTY * empty * empty;
}

/* From the last word to the first: the best way to cut all that follows. */
static void cut(struct cutting *c)
{
    c->cost[c->count] = 0;
    for (int from = c->count - 1; from >= 0; from--) {
        double inside = 0, least = INFINITY;
        for (int to = from + 1; to <= c->count; to++) {
            double cost = cue_cost(c, from, to, inside);
            if (isinf(cost))
                break;
            if (cost + c->cost[to] < least) {
                least = cost + c->cost[to];
                c->end[from] = to;
            }
            double pause = to < c->count ? pause_before(c, to) : 0;
            if (pause >= LONG_PAUSE)
                break;
            inside += COST_PAUSE * pause * pause;
            if (phrase_end(c->words[to - 1].text) == PHRASE_SENTENCE)
                inside += COST_SENTENCE;
        }
        c->cost[from] = least;
    }
}

static void cutting_release(struct cutting *c)
{
    memory_free(c->before);
    memory_free(c->worth);
    memory_free(c->cost);
    memory_free(c->end);
}

static int cutting_init(struct cutting *c, const struct words *w, int wall, struct error *err)
{
    size_t places = (size_t)w->count + 1;
    *c = (struct cutting){.words = w->list, .count = w->count, .wall = wall};
    c->before = memory_new(places, sizeof *c->before);
    c->worth = memory_new(places, sizeof *c->worth);
    c->cost = memory_new(places, sizeof *c->cost);
    c->end = memory_new(places, sizeof *c->end);
    if (!c->before || !c->worth || !c->cost || !c->end) {
        cutting_release(c);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    for (int i = 0; i < c->count; i++)
        c->before[i + 1] = c->before[i] + characters(c->words[i].text) + 1;
    for (int i = 1; i < c->count; i++)
        c->worth[i] = end_worth(c, i);
    cut(c);
    return 0;
}

/* ---- the stream -------------------------------------------------------------------------- */

void subtitler_init(struct subtitler *s, cue_taker *take, void *arg)
{
    *s = (struct subtitler){.take = take, .arg = arg};
}

void subtitler_release(struct subtitler *s)
{
    words_release(&s->words);
}

/* Seen as long as wanted where the next cue leaves the time, and never shorter than allowed. */
static int give(struct subtitler *s, const struct cutting *c, int from, int to, struct error *err)
{
    int first_line_end;
    lines_cost(c, from, to, &first_line_end);
    double start = fmax(c->words[from].start, s->free), end = start;
    for (int i = from; i < to; i++)
        end = fmax(end, c->words[i].end);
    end = fmax(end + SUBTITLE_LINGER, start + shortest(length(c, from, to)));
    end = fmin(end, c->words[from].start + seconds_to_read(c, from, to));
    end = fmin(fmax(end, start + SUBTITLE_SHORTEST), start + SUBTITLE_LONGEST);
    s->free = end + SUBTITLE_GAP;
    const struct cue cue = {.start = start,
                            .end = end,
                            .words = c->words + from,
                            .count = to - from,
                            .first_line = first_line_end - from,
                            .speaker = s->speaker};
    return s->take(s->arg, &cue, err);
}

/* old: words that were in hand before the last utterance, which `speaker` says. all: the last cue
   waits for nothing. */
static int give_cues(struct subtitler *s, int old, int speaker, bool all, struct error *err)
{
    struct cutting c;
    int from = 0;
    const bool apart = s->crosses || speaker != s->speaker;
    int rc = cutting_init(&c, &s->words, apart ? old : 0, err);
    if (rc)
        return rc;
    while (!rc && from < c.count && (all || c.end[from] < c.count)) {
        if (from >= old)
            s->speaker = speaker;
        rc = give(s, &c, from, c.end[from], err);
        from = c.end[from];
    }
    cutting_release(&c);
    words_drop(&s->words, 0, from);
    s->crosses = from < old;
    s->speaker = from < old ? s->speaker : speaker;
    return rc;
}

int subtitler_push(struct subtitler *s, const struct words *utterance, int speaker,
                   struct error *err)
{
    const int old = s->words.count;
    int rc = 0;
    for (int i = 0; !rc && i < utterance->count; i++) {
        const struct word *w = &utterance->list[i];
        const double before = s->words.count ? s->words.list[s->words.count - 1].start : 0;
        const double start = isfinite(w->start) ? fmax(before, w->start) : before;
        if (!*w->text)
            continue;
        rc = words_add(&s->words, w->text, strlen(w->text), start, fmax(start, w->end),
                       w->confidence, err);
    }
    return rc || !utterance->count ? rc : give_cues(s, old, speaker, false, err);
}

int subtitler_finish(struct subtitler *s, struct error *err)
{
    return s->words.count ? give_cues(s, 0, s->speaker, true, err) : 0;
}
