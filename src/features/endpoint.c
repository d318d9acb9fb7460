#include "features/endpoint.h"
#include "base/memory.h"
#include "features/segment.h"

#include <assert.h>

#define BEGINS 0.5f
#define GOES_ON 0.35f
#define SURELY 0.7f

struct endpoint {
    struct endpoint_options options;
    int64_t frames; /* seen */
    bool speaking;
    int64_t start;            /* of the utterance; where none is, of what may belong to the next */
    int64_t overlap;          /* of it with the one before */
    int64_t last;             /* frame with speech */
    int64_t sure;             /* frame that is surely speech, the last */
    int64_t shot;             /* the first frame of the last shot */
    int64_t pause, pause_end; /* the last pause of it that is over, of ENDPOINT_BREATH at least */
    int64_t voiced;           /* its frames with speech */
    int run;                  /* the last frames that are speech, one after the other */
    bool *speech;             /* [longest], of the utterance's frames */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int endpoint_new(struct endpoint **out, const struct endpoint_options *options, struct error *err)
{
    assert(options->margin <= options->pause &&
           options->margin + ENDPOINT_ONSET < options->longest);
    struct endpoint *e = *out = memory_new(1, sizeof *e);
    if (e)
        e->speech = memory_new((size_t)options->longest, sizeof *e->speech);
    if (!e || !e->speech) {
        endpoint_free(e);
        *out = NULL;
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    e->options = *options;
    e->shot = -ENDPOINT_SHOT; /* none yet */
    return 0;
}

void endpoint_free(struct endpoint *e)
{
    if (e)
        memory_free(e->speech);
    memory_free(e);
}

/* From frame `start` on somebody speaks. */
static void begin(struct endpoint *e)
{
    int64_t first = e->frames - e->run;
    e->speaking = true;
    e->start = larger(e->start, first - e->options.margin);
    for (int64_t f = e->start; f < e->frames; f++)
        e->speech[f - e->start] = f >= first;
    e->voiced = e->run;
    e->last = e->sure = e->frames - 1;
    e->pause = e->pause_end = e->start;
}

/* The utterance up to frame `end`; what follows belongs to the next. */
static bool end_at(struct endpoint *e, int64_t end, struct endpoint_span *span)
{
    bool good = e->voiced >= ENDPOINT_LEAST;
    end = larger(end, e->start); /* all its speech may lie before a cut */
    *span = (struct endpoint_span){e->start, end - e->start, e->overlap, 0};
    e->speaking = false;
    e->start = end;
    e->overlap = 0;
    e->run = 0;
    return good;
}

/* The utterance's first `count` frames; it goes on with the last `overlap` of them. */
static bool cut_at(struct endpoint *e, int64_t count, int64_t overlap, struct endpoint_span *span)
{
    const int64_t all = e->frames - e->start, kept = all - count + overlap;
    bool good = e->voiced >= ENDPOINT_LEAST;
    *span = (struct endpoint_span){e->start, count, e->overlap, overlap};
    e->start = e->frames - kept;
    e->overlap = overlap;
    e->voiced = 0;
    for (int64_t i = 0; i < kept; i++) {
        e->speech[i] = e->speech[all - kept + i];
        e->voiced += e->speech[i];
    }
    return good;
}

/* The utterance is as long as it may be. */
static bool cut(struct endpoint *e, struct endpoint_span *span)
{
    int64_t at = segment_pause(e->speech, e->options.longest, ENDPOINT_BREATH);
    return at ? cut_at(e, at, 0, span)
              : cut_at(e, e->options.longest, segment_overlap(e->options.longest), span);
}

/* The pause that ends an utterance this long, in frames that are not surely speech. */
static int64_t pause_wanted(const struct endpoint *e)
{
    const int64_t pause = e->options.pause, least = smaller(pause, ENDPOINT_BREATH);
    const int64_t from = e->options.longest * 2 / 5, to = e->options.longest * 3 / 5;
    const int64_t count = smaller(e->frames - e->start, to);
    return !e->options.breath || count <= from
               ? e->options.longest
               : pause - (pause - least) * (count - from) / (to - from);
}

/* Ends where the pause that goes on is reason enough. */
static bool end_in_pause(struct endpoint *e, struct endpoint_span *span)
{
    const int64_t count = e->frames - 1 - e->sure, middle = e->sure + 1 + count / 2;
    const bool shot = count >= ENDPOINT_BREATH && e->shot > e->sure - ENDPOINT_SHOT;
    if (e->frames - 1 - e->last >= e->options.pause)
        return end_at(e, e->last + 1 + e->options.margin, span);
    return e->voiced >= ENDPOINT_LEAST && (shot || count >= pause_wanted(e)) &&
           end_at(e, shot ? larger(middle, e->shot) : middle, span);
}

/* Whether a shot that has just begun is no more than a little behind a pause. */
static bool is_behind_pause(const struct endpoint *e)
{
    int64_t voiced = 0;
    for (int64_t f = e->start; f < e->pause; f++)
        voiced += e->speech[f - e->start];
    return voiced >= ENDPOINT_LEAST && e->shot - e->pause_end < ENDPOINT_SHOT;
}

/* What a frame with this probability means to an utterance. */
static void note(struct endpoint *e, float probability)
{
    const bool speech = probability > GOES_ON;
    e->speech[e->frames - e->start] = speech;
    e->voiced += speech;
    if (speech)
        e->last = e->frames;
    if (probability <= SURELY)
        return;
    if (e->frames - e->sure > ENDPOINT_BREATH) {
        e->pause = e->sure + 1;
        e->pause_end = e->frames;
    }
    e->sure = e->frames;
}

bool endpoint_push(struct endpoint *e, float probability, bool shot, struct endpoint_span *span)
{
    if (shot)
        e->shot = e->frames;
    if (!e->speaking) {
        e->run = probability > BEGINS ? e->run + 1 : 0;
        e->frames++;
        if (e->run == ENDPOINT_ONSET)
            begin(e);
        return false;
    }
    note(e, probability);
    e->frames++;
    if (end_in_pause(e, span))
        return true;
    if (!e->speaking)
        return false;
    if (shot && is_behind_pause(e))
        return cut_at(e, (e->pause + e->pause_end) / 2 - e->start, 0, span);
    return e->frames - e->start == e->options.longest && cut(e, span);
}

bool endpoint_finish(struct endpoint *e, struct endpoint_span *span)
{
    return e->speaking && end_at(e, smaller(e->frames, e->last + 1 + e->options.margin), span);
}

bool endpoint_open(const struct endpoint *e, struct endpoint_span *span)
{
    *span = (struct endpoint_span){e->start, e->frames - e->start, e->overlap, 0};
    return e->speaking && e->voiced >= ENDPOINT_LEAST;
}

int64_t endpoint_needed(const struct endpoint *e)
{
    return e->speaking ? e->start : larger(e->start, e->frames - e->run - e->options.margin);
}
