/*
 * Training. The text is cut into pieces; equal pieces are one `word` with a count. Then, until
 * there are enough tokens or no pair occurs often enough: the most frequent pair of neighbouring
 * tokens (count of the pair in a word times the word's count, summed) becomes a token, and the
 * words that hold it are rewritten. Counts are kept up to date: only words that change are counted
 * again.
 *
 * Cost of a merge: one look at every symbol of the distinct words and at every counted pair.
 */
#include "base/file.h"
#include "base/memory.h"
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TRAINING_BYTES ((size_t)256 << 20)
#define DEFAULT_VOCABULARY 32768

struct piece {
    const char *text;
    size_t length;
};

struct word {
    int32_t *symbols; /* [length] token ids */
    size_t length;
    int64_t count;
};

struct trainer {
    char *text; /* the file, each line with its prefix space */
    struct piece *pieces;
    size_t piece_count, piece_room;
    struct word *words;
    size_t word_count;
    int32_t *symbols; /* of all words */
    struct pairs counts;
};

static int take_piece(void *arg, const char *text, size_t length)
{
    struct trainer *r = arg;
    if (r->piece_count == r->piece_room) {
        size_t room = r->piece_room ? 2 * r->piece_room : 1024;
        struct piece *pieces = memory_new(room, sizeof *pieces);
        if (!pieces)
            return ERROR_MEMORY;
        if (r->piece_count)
            memcpy(pieces, r->pieces, r->piece_count * sizeof *pieces);
        memory_free(r->pieces);
        r->pieces = pieces;
        r->piece_room = room;
    }
    r->pieces[r->piece_count++] = (struct piece){text, length};
    return 0;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* Cuts the lines of the file into r->pieces. */
static int cut_lines(struct trainer *r, const struct tokenizer *t, const struct file_map *map,
                     struct error *err)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    size_t lines = 1;
    for (const char *p = at; p < end; p++)
        lines += *p == '\n';
    r->text = memory_new(map->size + lines, 1);
    if (!r->text)
        return error_set(err, ERROR_MEMORY, "out of memory");
    char *out = r->text;
    for (const char *stop; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        size_t length = (size_t)(stop - at);
        length -= length > 0 && at[length - 1] == '\r';
        if (!length)
            continue;
        char *line = out;
        if (t->prefix == PREFIX_EVERY)
            *out++ = ' ';
        memcpy(out, at, length);
        out += length;
        int rc = split_run(&t->split, line, (size_t)(out - line), take_piece, r, err);
        if (rc)
            return rc == ERROR_MEMORY ? error_set(err, rc, "out of memory") : rc;
    }
    return 0;
}

/* Sorts the pieces and makes each distinct one a word of byte tokens. */
static int make_words(struct trainer *r, struct error *err)
{
    size_t bytes = 0, distinct = 0;
    if (!r->piece_count)
        return error_set(err, ERROR_FORMAT, "no text to learn from");
    qsort(r->pieces, r->piece_count, sizeof *r->pieces, compare_pieces);
    for (size_t i = 0; i < r->piece_count; i++) {
        if (i && compare_pieces(&r->pieces[i - 1], &r->pieces[i]) == 0)
            continue;
        distinct++;
        bytes += r->pieces[i].length;
    }
    r->words = memory_new(distinct, sizeof *r->words);
    r->symbols = memory_new(bytes, sizeof *r->symbols);
    if (!r->words || !r->symbols)
        return error_set(err, ERROR_MEMORY, "out of memory");
    int32_t *symbols = r->symbols;
    for (size_t i = 0; i < r->piece_count; i++) {
        const struct piece *piece = &r->pieces[i];
        if (!i || compare_pieces(&r->pieces[i - 1], piece) != 0) {
            r->words[r->word_count++] = (struct word){symbols, piece->length, 0};
            for (size_t k = 0; k < piece->length; k++)
                *symbols++ = (unsigned char)piece->text[k];
        }
        r->words[r->word_count - 1].count++;
    }
    return 0;
}

/* Adds (sign 1) or takes away (-1) the pairs of a word. */
static int count_word(struct trainer *r, const struct word *word, int sign, struct error *err)
{
    for (size_t i = 0; i + 1 < word->length; i++) {
        int64_t *count =
            pairs_put(&r->counts, (struct pair){word->symbols[i], word->symbols[i + 1]});
        if (!count)
            return error_set(err, ERROR_MEMORY, "out of memory");
        *count += sign * word->count;
    }
    return 0;
}

/* The slot of the most frequent pair, of several the lowest; NULL: none occurs `least` times. */
static const struct pair_slot *best_pair(const struct trainer *r, int64_t least)
{
    const struct pair_slot *best = NULL;
    for (size_t i = 0; i < r->counts.capacity; i++) {
        const struct pair_slot *slot = &r->counts.slots[i];
        if (slot->pair.left < 0 || slot->value < (best ? best->value : least))
            continue;
        if (!best || slot->value > best->value || slot->pair.left < best->pair.left ||
            (slot->pair.left == best->pair.left && slot->pair.right < best->pair.right))
            best = slot;
    }
    return best;
}

static bool holds(const struct word *word, struct pair pair)
{
    for (size_t i = 0; i + 1 < word->length; i++)
        if (word->symbols[i] == pair.left && word->symbols[i + 1] == pair.right)
            return true;
    return false;
}

static void rewrite(struct word *word, const struct merge *merge)
{
    size_t out = 0;
    for (size_t i = 0; i < word->length; i++) {
        bool joins = i + 1 < word->length && word->symbols[i] == merge->pair.left &&
                     word->symbols[i + 1] == merge->pair.right;
        word->symbols[out++] = joins ? merge->joined : word->symbols[i];
        i += joins;
    }
    word->length = out;
}

/* Only a text that is hardly anything but repetition gets there. */
static bool too_long(const struct tokenizer *t, struct pair pair)
{
    return t->tokens[pair.left].length + t->tokens[pair.right].length > TOKENIZER_MAX_TOKEN_BYTES;
}

/* Another pair may have made the same bytes before: then it is the same token. */
static int make_joined(struct tokenizer *t, struct merge *merge, struct error *err)
{
    const struct token *left = &t->tokens[merge->pair.left], *right = &t->tokens[merge->pair.right];
    struct strbuf bytes;
    strbuf_init(&bytes, TOKENIZER_MAX_BYTES);
    strbuf_add(&bytes, t->bytes.data + left->start, left->length);
    strbuf_add(&bytes, t->bytes.data + right->start, right->length);
    merge->joined = strings_get(&t->ordinary, bytes.data, bytes.length);
    int rc = 0;
    if (bytes.failed)
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    else if (merge->joined < 0) {
        merge->joined = t->count;
        rc = tokenizer_set(t, t->count, bytes.data, bytes.length, false, err);
    }
    strbuf_release(&bytes);
    return rc;
}

static int learn_merge(struct trainer *r, struct tokenizer *t, struct pair pair, struct error *err)
{
    struct merge merge = {.pair = pair};
    int rc = make_joined(t, &merge, err);
    if (rc)
        return rc;
    t->merges[t->merge_count++] = merge;
    for (size_t i = 0; i < r->word_count; i++) {
        if (!holds(&r->words[i], pair))
            continue;
        rc = count_word(r, &r->words[i], -1, err);
        rewrite(&r->words[i], &merge);
        if (!rc)
            rc = count_word(r, &r->words[i], 1, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int learn(struct trainer *r, struct tokenizer *t, int vocabulary, int64_t least,
                 struct error *err)
{
    int rc = 0;
    for (int byte = 0; byte < 256 && !rc; byte++)
        rc = tokenizer_set(t, byte, (char[]){(char)byte}, 1, false, err);
    for (size_t i = 0; i < r->word_count && !rc; i++)
        rc = count_word(r, &r->words[i], 1, err);
    const struct pair_slot *best;
    while (!rc && t->count < vocabulary && t->merge_count < t->merge_capacity &&
           (best = best_pair(r, least)) != NULL && !too_long(t, best->pair))
        rc = learn_merge(r, t, best->pair, err);
    return rc ? rc : tokenizer_finish(t, err);
}

static void trainer_release(struct trainer *r)
{
    pairs_release(&r->counts);
    memory_free(r->symbols);
    memory_free(r->words);
    memory_free(r->pieces);
    memory_free(r->text);
}

static int train(struct tokenizer *t, const struct file_map *map,
                 const struct tokenizer_options *options, int vocabulary, struct error *err)
{
    struct trainer r = {0};
    t->prefix = options->prefix_space ? PREFIX_EVERY : PREFIX_NONE;
    int rc = split_add(&t->split, options->split ? options->split : tokenizer_split_llama3, err);
    if (!rc)
        rc = cut_lines(&r, t, map, err);
    if (!rc)
        rc = make_words(&r, err);
    if (!rc)
        rc = learn(&r, t, vocabulary, options->least > 0 ? options->least : 2, err);
    trainer_release(&r);
    const char *const *names = options->specials ? options->specials : tokenizer_default_specials;
    for (; !rc && *names; names++)
        rc = tokenizer_add_special(t, *names, err);
    return rc;
}

int tokenizer_train(struct tokenizer **out, const char *path,
                    const struct tokenizer_options *options, struct error *err)
{
    static const struct tokenizer_options defaults = {.prefix_space = true};
    struct file_map map;
    *out = NULL;
    if (!options)
        options = &defaults;
    int vocabulary = options->vocabulary ? options->vocabulary : DEFAULT_VOCABULARY;
    if (vocabulary < 256 || vocabulary > TOKENIZER_MAX_IDS)
        return error_set(err, ERROR_USAGE, "a vocabulary has 256 to %d tokens, not %d",
                         TOKENIZER_MAX_IDS, vocabulary);
    int rc = file_map_open(&map, path, err);
    if (rc)
        return rc;
    if (!map.size)
        rc = error_set(err, ERROR_FORMAT, "it is empty");
    else if (map.size > MAX_TRAINING_BYTES)
        rc = error_set(err, ERROR_LIMIT, "%zu bytes, a tokenizer learns from at most %zu", map.size,
                       MAX_TRAINING_BYTES);
    struct tokenizer *t = NULL;
    if (!rc)
        rc = tokenizer_new(&t, vocabulary, vocabulary - 256, err);
    if (!rc)
        rc = train(t, &map, options, vocabulary, err);
    file_map_close(&map);
    if (rc) {
        tokenizer_free(t);
        return error_prefix(err, "%s", path);
    }
    *out = t;
    return 0;
}
