#include "weights/foreign.h"
#include "weights/cursor.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_LIMIT ((size_t)64 << 20) /* larger JSON is not parsed */

struct mark {
    int at;
    const char *bytes;
    int length;
    const char *what;
};

#define MARK(at, bytes, what)                                                                      \
    {                                                                                              \
        at, bytes, sizeof(bytes) - 1, what                                                         \
    }

static const char *known_mark(const unsigned char *bytes, size_t size)
{
    static const struct mark marks[] = {
        MARK(0, "version https://git-lfs", "a Git LFS pointer, not the file itself (git lfs pull)"),
        MARK(0, "\x89PNG", "a picture (PNG)"),
        MARK(0, "\xff\xd8\xff", "a picture (JPEG)"),
        MARK(0, "GIF8", "a picture (GIF)"),
        MARK(8, "WEBP", "a picture (WebP)"),
        MARK(4, "ftyp", "a video or sound (MP4)"),
        MARK(0, "\x1a\x45\xdf\xa3", "a video or sound (Matroska)"),
        MARK(8, "WAVE", "a sound (WAV)"),
        MARK(8, "AVI ", "a video (AVI)"),
        MARK(0, "OggS", "a sound (Ogg)"),
        MARK(0, "fLaC", "a sound (FLAC)"),
        MARK(0, "ID3", "a sound (MP3)"),
        MARK(0, "\x1f\x8b", "a gzip archive: unpack it first"),
        MARK(0, "BZh", "a bzip2 archive: unpack it first"),
        MARK(0,
             "\xfd"
             "7zXZ",
             "an xz archive: unpack it first"),
        MARK(0, "\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
        MARK(0, "7z\xbc\xaf", "a 7z archive: unpack it first"),
        MARK(0, "Rar!", "a rar archive: unpack it first"),
        MARK(257, "ustar", "a tar archive: unpack it first"),
        MARK(0, "\x89HDF", "an HDF5 file (Keras, TensorFlow)"),
        MARK(0, "\x93NUMPY", "a NumPy array"),
        MARK(4, "TFL3", "a TensorFlow Lite model"),
        MARK(0, "tjgg", "an old llama.cpp file (GGJT), from before GGUF"),
        MARK(0, "fmgg", "an old llama.cpp file (GGMF), from before GGUF"),
        MARK(0, "algg", "a llama.cpp adapter (GGLA), from before GGUF"),
        MARK(0, "FUGG", "a big-endian GGUF file"),
        MARK(0, "\x0a\x0e\x0a\x05<unk>", "a SentencePiece tokenizer (tokenizer.model)"),
        MARK(0,
             "\x7f"
             "ELF",
             "a program"),
        MARK(0, "%PDF", "a PDF document"),
        MARK(0, "<?xml", "an XML text"),
        MARK(0, "#!", "a script"),
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t at = (size_t)marks[i].at, length = (size_t)marks[i].length;
        if (size >= at + length && memcmp(bytes + at, marks[i].bytes, length) == 0)
            return marks[i].what;
    }
    return NULL;
}

static const char *known_json(const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    if (json_object_get(model, "vocab"))
        return json_is_true(json_object_get(model, "byte_fallback"))
                   ? "a Llama tokenizer (tokenizer.json), not a model"
                   : "a tokenizer (tokenizer.json), not a model";
    if (json_object_get(root, "added_tokens_decoder") || json_object_get(root, "tokenizer_class"))
        return "a tokenizer's settings (tokenizer_config.json), not a model";
    if (json_object_get(root, "feature_extractor_type"))
        return "a feature extractor's settings (preprocessor_config.json), not its weights";
    if (json_object_get(root, "architectures") || json_object_get(root, "model_type"))
        return "a model's configuration (config.json), not its weights";
    return "a JSON text";
}

static const char *known_text(const unsigned char *bytes, size_t size)
{
    while (size && (*bytes == ' ' || *bytes == '\t' || *bytes == '\r' || *bytes == '\n')) {
        bytes++;
        size--;
    }
    const char *text = (const char *)bytes;
    if ((size >= 14 && strncasecmp(text, "<!doctype html", 14) == 0) ||
        (size >= 5 && strncasecmp(text, "<html", 5) == 0))
        return "an HTML page (what a web server says instead of the file?)";
    if (!size || (*bytes != '{' && *bytes != '[') || size > TEXT_LIMIT)
        return NULL;
    json_t *root = json_loadb(text, size, 0, NULL);
    const char *what = root ? known_json(root) : NULL;
    json_decref(root);
    return what;
}

/* llama2.c: seven int32 (dim, hidden, layers, heads, key-value heads, vocabulary, length), then
   all floats, in 28 + 4 * parameters bytes; a negative vocabulary: the classifier is its own. */
static bool is_llama2c(const unsigned char *bytes, size_t size)
{
    struct cursor c = {.bytes = bytes, .size = size};
    int64_t dim = (int32_t)cursor_u32(&c), hidden = (int32_t)cursor_u32(&c);
    int64_t layers = (int32_t)cursor_u32(&c), heads = (int32_t)cursor_u32(&c);
    int64_t kv_heads = (int32_t)cursor_u32(&c), words = (int32_t)cursor_u32(&c);
    int64_t length = (int32_t)cursor_u32(&c);
    bool shared = words > 0;
    words = words < 0 ? -words : words;
    if (c.failed || dim < 1 || dim > 1 << 16 || hidden < 1 || hidden > 1 << 18 || layers < 1 ||
        layers > 1000 || heads < 1 || kv_heads < 1 || kv_heads > heads || dim % heads ||
        length < 1 || length > 1 << 24)
        return false;
    int64_t kv = dim / heads * kv_heads;
    int64_t layer = 2 * dim + 2 * dim * dim + 2 * dim * kv + 3 * dim * hidden;
    int64_t floats = words * dim + layers * layer + dim + length * (dim / heads);
    return (uint64_t)(28 + 4 * (floats + (shared ? 0 : words * dim))) == size;
}

/* llama2.c: u32 longest word, then float score, u32 length, bytes, to the end. */
static bool is_llama2c_tokenizer(const unsigned char *bytes, size_t size)
{
    struct cursor c = {.bytes = bytes, .size = size};
    uint32_t longest = cursor_u32(&c);
    if (longest < 1 || longest > 1024 || size < 16)
        return false;
    while (!c.failed && cursor_left(&c)) {
        cursor_u32(&c);
        uint32_t length = cursor_u32(&c);
        if (length > longest)
            return false;
        cursor_take(&c, length);
    }
    return !c.failed;
}

static bool is_text(const unsigned char *bytes, size_t size)
{
    size_t n = size < 512 ? size : 512;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] < 9 || (bytes[i] > 13 && bytes[i] < 32) || bytes[i] == 127)
            return false;
    return true;
}

void foreign_describe(char *text, size_t room, const unsigned char *bytes, size_t size)
{
    const char *what = NULL;
    if (!size)
        what = "an empty file";
    if (!what)
        what = known_mark(bytes, size);
    if (!what)
        what = known_text(bytes, size);
    if (!what && is_llama2c(bytes, size))
        what = "a model of llama2.c (.bin), a format that is not read";
    if (!what && is_llama2c_tokenizer(bytes, size))
        what = "a Llama tokenizer of llama2.c (.bin), not a model";
    if (!what && is_text(bytes, size))
        what = "a text";
    if (what)
        snprintf(text, room, "%s", what);
    else if (size < 4)
        snprintf(text, room, "%zu bytes long only", size);
    else
        snprintf(text, room, "of an unknown kind (it begins %02x %02x %02x %02x)", bytes[0],
                 bytes[1], bytes[2], bytes[3]);
}
