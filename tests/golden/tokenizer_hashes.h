/* Ids of the strings of tokenizer_strings.h against an entry of text_tokenizers.json. The includer
   has cmocka. */
#ifndef TESTS_GOLDEN_TOKENIZER_HASHES_H
#define TESTS_GOLDEN_TOKENIZER_HASHES_H

#include "base/memory.h"
#include "tokenizer_strings.h"

#include <jansson.h>
#include <string.h>

struct block {
    const char *name;
    const json_t *hashes; /* NULL: none to compare with */
    uint64_t hash;
};

static void end_block(struct block *b, int index)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)b->hash);
    const char *wanted = json_string_value(json_array_get(b->hashes, (size_t)index));
    if (b->hashes && (!wanted || strcmp(hash, wanted) != 0))
        fail_msg("%s, strings %d to %d: other ids than published", b->name,
                 index * STRINGS_PER_HASH, (index + 1) * STRINGS_PER_HASH - 1);
    b->hash = 0xcbf29ce484222325u;
}

/* What the tokenizer makes of the strings; decoded bytes come back wherever every byte has a token.
 */
static void check_strings(const struct tokenizer *t, const json_t *entry, int count)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    struct block plain = {name, json_object_get(entry, "plain"), 0xcbf29ce484222325u};
    struct block special = {name, json_object_get(entry, "special"), plain.hash};
    struct block text = {name, json_object_get(entry, "text"), plain.hash};
    struct maker m = {.state = 1};
    struct strbuf seen, decoded;
    struct error err = {0};
    strbuf_init(&m.text, 1 << 24);
    strbuf_init(&seen, 1 << 24);
    strbuf_init(&decoded, 1 << 24);
    for (int i = 0; i < count; i++) {
        next_string(&m, &seen);
        int32_t *ids = memory_new(tokenizer_room(t, seen.length), sizeof *ids);
        int64_t n = tokenizer_encode(t, ids, seen.data, seen.length, &err);
        assert_true(n >= 0 && (size_t)n <= tokenizer_room(t, seen.length));
        hash_ids(&plain.hash, ids, n);
        strbuf_clear(&decoded);
        tokenizer_decode(t, &decoded, ids, n);
        hash_bytes(&text.hash, decoded.data, decoded.length);
        n = tokenizer_encode_special(t, ids, seen.data, seen.length, &err);
        assert_true(n >= 0 && (size_t)n <= tokenizer_room(t, seen.length));
        hash_ids(&special.hash, ids, n);
        memory_free(ids);
        if (i % STRINGS_PER_HASH == STRINGS_PER_HASH - 1) {
            end_block(&plain, i / STRINGS_PER_HASH);
            end_block(&special, i / STRINGS_PER_HASH);
            end_block(&text, i / STRINGS_PER_HASH);
        }
    }
    strbuf_release(&decoded);
    strbuf_release(&seen);
    strbuf_release(&m.text);
}

#endif
