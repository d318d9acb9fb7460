/*
 * Nothing here relies on a terminating NUL: all reading is between two pointers. Words are gathered
 * as NUL-separated bytes, since these move while they grow; pointers to them are made at the end.
 */
#include "train/import_text.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "text/normalize.h"

#include <string.h>

#define MAX_TIME_MS 86400000 /* a day */
#define MAX_WORDS (1 << 20)
#define MAX_WORD_BYTES (1 << 24) /* of all words of a clip */
#define GRID_UNITS_PER_MS 25

static const char out_of_memory[] = "there is no memory for it";

struct gathered {
    struct strbuf bytes; /* words, a NUL behind each */
    struct manifest_word *words;
    int32_t count, room;
    int32_t last_start;
    bool wrong; /* the times are of no use */
};

const char *next_line(const char **at, const char *end, size_t *length)
{
    const char *line = *at;
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    *at = stop ? stop + 1 : end;
    if (!stop)
        stop = end;
    if (stop > line && stop[-1] == '\r')
        stop--;
    *length = (size_t)(stop - line);
    return line;
}

/* Cuts the next field between blanks off [*at, end). */
static const char *next_field(const char **at, const char *end, size_t *length)
{
    const char *p = *at;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    const char *field = p;
    while (p < end && *p != ' ' && *p != '\t')
        p++;
    *at = p;
    *length = (size_t)(p - field);
    return field;
}

/* "12", "3.25" -> thousandths, to the nearest. */
static bool read_number(int64_t *thousandths, const char *text, size_t length)
{
    const int64_t one = 10000; /* the value is kept in tenths of thousandths */
    int64_t value = 0, worth = one;
    bool point = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' && !point && i) {
            point = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || value > MAX_TIME_MS * one)
            return false;
        worth = point ? worth / 10 : one;
        value = (point ? value : 10 * value) + (text[i] - '0') * worth;
    }
    *thousandths = (value + 5) / 10;
    return length > 0;
}

/* Appends the folded text, its control characters taken for blanks. What is wrong; NULL: nothing.
   braces: these are left out. */
static const char *fold(struct strbuf *out, const char *bytes, size_t length, bool braces)
{
    if (normalize_valid(bytes, length) != length)
        return "the text is not UTF-8";
    char *clean = memory_new(length + 1, 1);
    size_t kept = 0;
    if (!clean)
        return out_of_memory;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (!braces || (c != '{' && c != '}'))
            clean[kept++] = c < 0x20 || c == 0x7f ? ' ' : bytes[i];
    }
    normalize_fold(out, clean, kept);
    memory_free(clean);
    return out->failed ? "the text is too long" : NULL;
}

static const char *set_text(struct spoken *t, const char *bytes, size_t length, bool braces)
{
    struct strbuf folded;
    *t = (struct spoken){0};
    if (length > 8 * IMPORT_MAX_TEXT)
        return "the text is too long";
    strbuf_init(&folded, IMPORT_MAX_TEXT);
    const char *fault = fold(&folded, bytes, length, braces);
    if (!fault && !folded.length)
        fault = "the text is empty";
    if (!fault) {
        t->text = memory_strdup(folded.data);
        fault = t->text ? NULL : out_of_memory;
    }
    strbuf_release(&folded);
    return fault;
}

static void gathered_init(struct gathered *g)
{
    *g = (struct gathered){0};
    strbuf_init(&g->bytes, MAX_WORD_BYTES);
}

static void gathered_release(struct gathered *g)
{
    strbuf_release(&g->bytes);
    memory_free(g->words);
}

static bool gathered_grow(struct gathered *g)
{
    if (g->count < g->room)
        return true;
    int32_t room = g->room ? 2 * g->room : 16;
    struct manifest_word *words = room > MAX_WORDS ? NULL : memory_new((size_t)room, sizeof *words);
    if (!words)
        return false;
    if (g->count)
        memcpy(words, g->words, (size_t)g->count * sizeof *words);
    memory_free(g->words);
    g->words = words;
    g->room = room;
    return true;
}

static void gather(struct gathered *g, const char *word, size_t length, int64_t start_ms,
                   int64_t end_ms)
{
    size_t before = g->bytes.length;
    if (g->wrong)
        return;
    if (start_ms < g->last_start || end_ms < start_ms || end_ms > MAX_TIME_MS ||
        length > IMPORT_MAX_TEXT || !gathered_grow(g) || fold(&g->bytes, word, length, true) ||
        g->bytes.length == before || memchr(g->bytes.data + before, ' ', g->bytes.length - before))
        g->wrong = true;
    strbuf_add(&g->bytes, "", 1);
    if (g->wrong || g->bytes.failed) {
        g->wrong = true;
        return;
    }
    g->words[g->count++] =
        (struct manifest_word){.start_ms = (int32_t)start_ms, .end_ms = (int32_t)end_ms};
    g->last_start = (int32_t)start_ms;
}

/* Hands the words over, if they are good; the text stays as it is. */
static void set_words(struct spoken *t, struct gathered *g)
{
    char *bytes = g->wrong || !g->count ? NULL : memory_new(g->bytes.length, 1);
    if (!bytes)
        return;
    memcpy(bytes, g->bytes.data, g->bytes.length);
    char *at = bytes;
    for (int32_t i = 0; i < g->count; i++) {
        g->words[i].text = at;
        at += strlen(at) + 1;
    }
    t->word_bytes = bytes;
    t->words = g->words;
    t->word_count = g->count;
    g->words = NULL;
}

const char *spoken_plain(struct spoken *t, const char *bytes, size_t size)
{
    const bool mark = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0;
    return set_text(t, mark ? bytes + 3 : bytes, mark ? size - 3 : size, false);
}

const char *spoken_quoted(struct spoken *t, const char *bytes, size_t size)
{
    if (size < 2 || bytes[0] != '"' || bytes[size - 1] != '"')
        return spoken_plain(t, bytes, size);
    char *plain = memory_new(size, 1);
    size_t kept = 0;
    *t = (struct spoken){0};
    if (!plain)
        return out_of_memory;
    for (size_t i = 1; i + 1 < size; i++) {
        plain[kept++] = bytes[i];
        i += bytes[i] == '"' && i + 2 < size && bytes[i + 1] == '"';
    }
    const char *fault = spoken_plain(t, plain, kept);
    memory_free(plain);
    return fault;
}

bool spoken_is_lrs(const char *bytes, size_t size)
{
    return size >= 5 && memcmp(bytes, "Text:", 5) == 0;
}

static bool is_field(const char *field, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(field, wanted, length) == 0;
}

static void lrs_word(struct gathered *g, const char *line, size_t length)
{
    const char *end = line + length;
    size_t word_length, start_length, end_length;
    const char *word = next_field(&line, end, &word_length);
    const char *from = next_field(&line, end, &start_length);
    const char *to = next_field(&line, end, &end_length);
    int64_t start_ms, end_ms;
    if (read_number(&start_ms, from, start_length) && read_number(&end_ms, to, end_length))
        gather(g, word, word_length, start_ms, end_ms);
    else
        g->wrong = true;
}

const char *spoken_lrs(struct spoken *t, const char *bytes, size_t size)
{
    const char *at = bytes, *end = bytes + size;
    size_t length, field_length;
    struct gathered g;
    *t = (struct spoken){0};
    if (!spoken_is_lrs(bytes, size))
        return "its first line does not begin with \"Text:\"";
    const char *line = next_line(&at, end, &length);
    const char *fault = set_text(t, line + 5, length - 5, true);
    if (fault)
        return fault;
    gathered_init(&g);
    for (bool words = false; at < end;) {
        line = next_line(&at, end, &length);
        const char *p = line;
        const char *field = next_field(&p, line + length, &field_length);
        if (words && field_length)
            lrs_word(&g, line, length);
        else if (is_field(field, field_length, "WORD"))
            words = true;
    }
    set_words(t, &g);
    gathered_release(&g);
    return NULL;
}

/* One "START END WORD" line: its word goes to the text and to the words. */
static void grid_word(struct gathered *g, struct strbuf *text, const char *line, size_t length)
{
    const char *end = line + length;
    size_t from_length, to_length, word_length;
    const char *from = next_field(&line, end, &from_length);
    const char *to = next_field(&line, end, &to_length);
    const char *word = next_field(&line, end, &word_length);
    int64_t start, stop;
    if (!word_length || is_field(word, word_length, "sil") || is_field(word, word_length, "sp"))
        return;
    strbuf_add(text, word, word_length);
    strbuf_adds(text, " ");
    if (read_number(&start, from, from_length) && read_number(&stop, to, to_length))
        gather(g, word, word_length, start / 1000 / GRID_UNITS_PER_MS,
               stop / 1000 / GRID_UNITS_PER_MS);
    else
        g->wrong = true;
}

const char *spoken_grid(struct spoken *t, const char *bytes, size_t size)
{
    const char *at = bytes, *end = bytes + size;
    struct gathered g;
    struct strbuf text;
    gathered_init(&g);
    strbuf_init(&text, 2 * IMPORT_MAX_TEXT);
    while (at < end) {
        size_t length;
        const char *line = next_line(&at, end, &length);
        grid_word(&g, &text, line, length);
    }
    const char *fault = set_text(t, text.data, text.length, false);
    if (!fault)
        set_words(t, &g);
    strbuf_release(&text);
    gathered_release(&g);
    return fault;
}

static const char *word_of(char letter, const char *const *words)
{
    for (; *words; words++)
        if (**words == letter)
            return *words;
    return NULL;
}

const char *spoken_sentence(struct spoken *t, const char *name, size_t length)
{
    static const char *const commands[] = {"bin", "lay", "place", "set", NULL};
    static const char *const colours[] = {"blue", "green", "red", "white", NULL};
    static const char *const prepositions[] = {"at", "by", "in", "with", NULL};
    static const char *const digits[] = {"zero", "one", "two",   "three", "four",
                                         "five", "six", "seven", "eight", "nine"};
    static const char *const adverbs[] = {"again", "now", "please", "soon", NULL};
    static const char wrong[] = "its name is no sentence of GRID's (such as bbaf3s)";
    const char *underline = memrchr(name, '_', length);
    const char *n = underline ? underline + 1 : name;
    *t = (struct spoken){0};
    if (name + length - n != 6)
        return wrong;
    const char *command = word_of(n[0], commands), *colour = word_of(n[1], colours);
    const char *preposition = word_of(n[2], prepositions), *adverb = word_of(n[5], adverbs);
    const char *digit = n[4] == 'z' ? digits[0] : NULL;
    if (n[4] >= '1' && n[4] <= '9')
        digit = digits[n[4] - '0'];
    if (!command || !colour || !preposition || !digit || !adverb || n[3] < 'a' || n[3] > 'z' ||
        n[3] == 'w')
        return wrong;
    struct strbuf text;
    strbuf_init(&text, 64);
    strbuf_addf(&text, "%s %s %s %c %s %s", command, colour, preposition, n[3], digit, adverb);
    t->text = text.failed ? NULL : memory_strdup(text.data);
    strbuf_release(&text);
    return t->text ? NULL : out_of_memory;
}

const char *spoken_given(struct spoken *t, const char *text, const struct manifest_word *words,
                         int32_t count)
{
    struct gathered g;
    const char *fault = set_text(t, text, strlen(text), false);
    if (fault)
        return fault;
    gathered_init(&g);
    for (int32_t i = 0; i < count; i++)
        gather(&g, words[i].text, strlen(words[i].text), words[i].start_ms, words[i].end_ms);
    set_words(t, &g);
    gathered_release(&g);
    return NULL;
}

void spoken_release(struct spoken *t)
{
    memory_free(t->text);
    memory_free(t->words);
    memory_free(t->word_bytes);
    *t = (struct spoken){0};
}

bool spoken_timed(const struct spoken *t)
{
    const char *at = t->text;
    for (int32_t i = 0; i < t->word_count; i++) {
        size_t n = strlen(t->words[i].text);
        if (strncmp(at, t->words[i].text, n) != 0 || at[n] != (i + 1 < t->word_count ? ' ' : 0))
            return false;
        at += n + 1;
    }
    return t->word_count > 0;
}

bool label_line_read(struct label_line *l, const char *line, size_t length)
{
    const char *fields[5] = {line}, *end = line + length;
    size_t lengths[5];
    int count = 0;
    while (count < 5) {
        const char *comma = count < 4 ? memchr(fields[count], ',', end - fields[count]) : NULL;
        lengths[count] = (size_t)((comma ? comma : end) - fields[count]);
        count++;
        if (!comma)
            break;
        fields[count] = comma + 1;
    }
    int64_t frames;
    *l = (struct label_line){0};
    if (count < 3 || !lengths[1] || !read_number(&frames, fields[2], lengths[2]))
        return false;
    l->dataset = fields[0];
    l->dataset_length = lengths[0];
    l->path = fields[1];
    l->path_length = lengths[1];
    if (count == 5 && lengths[4]) {
        l->text = fields[4];
        l->text_length = lengths[4];
    }
    return true;
}
