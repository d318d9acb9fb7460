#include "decode/transcript_file.h"
#include "base/memory.h"
#include "text/normalize.h"
#include "text/text_json.h"

#include <math.h>
#include <string.h>

#define MOST_TEXT ((size_t)1 << 24) /* bytes of a word or a text */

static const char *const names[TRANSCRIPT_FORMATS] = {"txt", "srt", "vtt", "tsv", "lrc", "json"};

const char *transcript_format_name(enum transcript_format format)
{
    return names[format];
}

bool transcript_format_find(enum transcript_format *format, const char *name)
{
    for (int i = 0; i < TRANSCRIPT_FORMATS; i++)
        if (!strcmp(name, names[i])) {
            *format = (enum transcript_format)i;
            return true;
        }
    return false;
}

/* ---- texts ------------------------------------------------------------------------------- */

/* What stands for the character at `at`, of `bytes` bytes, in a format; NULL: it does itself. */
static const char *replacement(enum transcript_format format, const char *at, size_t bytes,
                               int32_t code)
{
    if (code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029)
        return " "; /* control characters, separators of lines and paragraphs */
    if (bytes > 1)
        return NULL;
    if (format == TRANSCRIPT_VTT)
        return *at == '&' ? "&amp;" : *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : NULL;
    if (format == TRANSCRIPT_LRC)
        return *at == '[' || *at == '<' ? "(" : *at == ']' || *at == '>' ? ")" : NULL;
    if (format != TRANSCRIPT_SRT)
        return NULL;
    const char next = at[1];
    const bool letter = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z');
    return *at == '<' && (letter || next == '/') ? "<\xe2\x81\xa0"
           : *at == '{' && next == '\\'          ? "{\xe2\x81\xa0"
                                                 : NULL;
}

static int write_text(const struct transcript_file *f, const char *text, struct error *err)
{
    struct strbuf valid;
    strbuf_init(&valid, MOST_TEXT);
    normalize_utf8(&valid, text, strlen(text));
    const bool failed = valid.failed;
    for (size_t at = 0, bytes; at < valid.length; at += bytes) {
        const char *from = valid.data + at;
        int32_t code = 0;
        bytes = normalize_character(&code, from, valid.length - at);
        const char *to = replacement(f->format, from, bytes, code);
        if (f->format == TRANSCRIPT_SRT && !strncmp(from, "-->", 3)) {
            bytes = 3;
            to = "\xe2\x86\x92";
        }
        if (to)
            fputs(to, f->to);
        else
            fwrite(from, 1, bytes, f->to);
    }
    strbuf_release(&valid);
    return failed ? error_set(err, ERROR_LIMIT, "a word is too long") : 0;
}

/* ---- cues -------------------------------------------------------------------------------- */

/* Seconds in units of 1 / units s; media are hours long, not more. */
static long long in_units(double seconds, int units)
{
    return llround(fmin(fmax(seconds, 0), 1e9) * units);
}

/* "01:02:03,456" */
static void write_time(FILE *to, double seconds, char point)
{
    const long long ms = in_units(seconds, 1000);
    fprintf(to, "%02lld:%02lld:%02lld%c%03lld", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
            point, ms % 1000);
}

static void write_times(const struct transcript_file *f, const struct cue *cue)
{
    const char point = f->format == TRANSCRIPT_SRT ? ',' : '.';
    if (f->format == TRANSCRIPT_SRT)
        fprintf(f->to, "%lld\n", (long long)f->count);
    if (f->format == TRANSCRIPT_TSV) {
        fprintf(f->to, "%lld\t%lld\t", in_units(cue->start, 1000), in_units(cue->end, 1000));
    } else if (f->format == TRANSCRIPT_LRC) {
        const long long cs = in_units(cue->start, 100);
        fprintf(f->to, "[%02lld:%02lld.%02lld]", cs / 6000, cs / 100 % 60, cs % 100);
    } else {
        write_time(f->to, cue->start, point);
        fputs(" --> ", f->to);
        write_time(f->to, cue->end, point);
        fputc('\n', f->to);
    }
}

static int write_cue(void *arg, const struct cue *cue, struct error *err)
{
    struct transcript_file *f = arg;
    const bool lines = f->format == TRANSCRIPT_SRT || f->format == TRANSCRIPT_VTT;
    int rc = 0;
    f->count++;
    write_times(f, cue);
    if (f->format == TRANSCRIPT_VTT && f->several && cue->speaker)
        fprintf(f->to, "<v Face %d>", cue->speaker);
    for (int i = 0; !rc && i < cue->count; i++) {
        if (i)
            fputc(lines && i == cue->first_line ? '\n' : ' ', f->to);
        rc = write_text(f, cue->words[i].text, err);
    }
    fputs(lines ? "\n\n" : "\n", f->to);
    return rc;
}

/* ---- txt and json ------------------------------------------------------------------------ */

static int write_line(const struct transcript_file *f, const struct utterance *u, struct error *err)
{
    char *text = words_text(&u->words);
    int rc = text ? write_text(f, text, err) : error_set(err, ERROR_MEMORY, "out of memory");
    fputc('\n', f->to);
    memory_free(text);
    return rc;
}

static json_t *or_null(bool there, int value)
{
    return there ? json_integer(value) : json_null();
}

static json_t *n_best_json(const struct utterance *u)
{
    json_t *list = json_array();
    for (int i = 0; i < u->n_best_count; i++)
        json_array_append_new(list, json_pack("{s:o, s:o}", "text", text_json(u->n_best[i].text),
                                              "score", number_json(u->n_best[i].score)));
    return list;
}

/* A list for each layer; null: the model has no experts to choose; NULL: no memory. */
static json_t *experts_json(const struct expert_slots *experts)
{
    if (!experts->count)
        return json_null();
    const int count = experts->layers * experts->routed;
    double *share = memory_new((size_t)count, sizeof *share);
    json_t *list = share ? json_array() : NULL, *layer = NULL;
    if (share)
        expert_slots_share(share, experts);
    for (int i = 0; share && i < count; i++) {
        if (i % experts->routed == 0)
            json_array_append_new(list, layer = json_array());
        json_array_append_new(layer, number_json(share[i]));
    }
    memory_free(share);
    return list;
}

json_t *utterance_json(const struct utterance *u, struct error *err)
{
    char *text = words_text(&u->words);
    json_t *o =
        text ? json_pack("{s:o, s:o, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, "
                         "s:o, s:o}",
                         "start", number_json(u->start), "end", number_json(u->end), "task",
                         task_name(u->task), "fallback", fallback_name(u->fallback), "audio_rate",
                         or_null(u->audio_rate > 0, u->audio_rate), "video_rate",
                         or_null(u->video_rate > 0, u->video_rate), "face",
                         or_null(u->face > 0, u->face), "text", text_json(text), "words",
                         words_json(&u->words), "n_best", n_best_json(u), "media_tokens",
                         (json_int_t)u->media_tokens, "encode_seconds",
                         number_json(u->encode_seconds), "decode_seconds",
                         number_json(u->decode_seconds), "expert_share", experts_json(&u->experts))
             : NULL;
    memory_free(text);
    if (!o)
        error_set(err, ERROR_MEMORY, "out of memory");
    return o;
}

static int write_json(const struct transcript_file *f, const struct utterance *u, struct error *err)
{
    json_t *o = utterance_json(u, err);
    if (!o)
        return err->code;
    fputs(f->count > 1 ? ",\n" : "\n", f->to);
    json_dumpf(o, f->to, JSON_REAL_PRECISION(10)); /* 12 hours to 0.1 ms: 9 digits */
    json_decref(o);
    return 0;
}

/* ---- who speaks -------------------------------------------------------------------------- */

/* The words with "Face 2:" before them, as one word that no line is broken in. */
static int push_named(struct transcript_file *f, const struct utterance *u, struct error *err)
{
    struct words named = {0};
    char name[32];
    const int length = snprintf(name, sizeof name, "Face\xc2\xa0%d:", u->face);
    const double start = u->words.list[0].start;
    int rc = words_add(&named, name, (size_t)length, start, start, 1, err);
    rc = rc ? rc : words_copy(&named, u->words.list, u->words.count, err);
    rc = rc ? rc : subtitler_push(&f->subtitler, &named, u->face, err);
    words_release(&named);
    return rc;
}

static int push_cues(struct transcript_file *f, const struct utterance *u, struct error *err)
{
    const bool changes = u->face && u->face != f->face;
    f->several = f->several || (changes && f->face);
    f->face = u->face ? u->face : f->face;
    if (f->format == TRANSCRIPT_SRT && f->several && changes && u->words.count)
        return push_named(f, u, err);
    return subtitler_push(&f->subtitler, &u->words, u->face, err);
}

/* ---- the file ---------------------------------------------------------------------------- */

void transcript_file_begin(struct transcript_file *f, enum transcript_format format, FILE *to,
                           const char *media)
{
    *f = (struct transcript_file){.format = format, .to = to};
    subtitler_init(&f->subtitler, write_cue, f);
    if (format == TRANSCRIPT_VTT)
        fputs("WEBVTT\n\n", to);
    if (format == TRANSCRIPT_TSV)
        fputs("start\tend\ttext\n", to);
    if (format == TRANSCRIPT_JSON) {
        json_t *name = text_json(media);
        fputs("{\"file\": ", to);
        json_dumpf(name, to, JSON_ENCODE_ANY);
        fputs(", \"utterances\": [", to);
        json_decref(name);
    }
}

int transcript_file_add(struct transcript_file *f, const struct utterance *u, struct error *err)
{
    if (f->format != TRANSCRIPT_TXT && f->format != TRANSCRIPT_JSON)
        return push_cues(f, u, err);
    f->count++;
    return f->format == TRANSCRIPT_TXT ? write_line(f, u, err) : write_json(f, u, err);
}

int transcript_file_end(struct transcript_file *f, struct error *err)
{
    if (f->format == TRANSCRIPT_JSON)
        fputs("\n]}\n", f->to);
    return subtitler_finish(&f->subtitler, err);
}

void transcript_file_release(struct transcript_file *f)
{
    subtitler_release(&f->subtitler);
}
