#include "text/caption.h"
#include "text/normalize.h"

#include <string.h>

#define HOLD 0.12 /* seconds that a word stays marked where a pause follows it */

/* Colours are BBGGRR. */
static const char plain[] = "{\\1c&HFFFFFF&\\u0}", spoken[] = "{\\1c&H4DD8FF&\\u0}";
static const char doubted[] = "{\\1c&H8C9CFF&\\u1}", doubted_spoken[] = "{\\1c&H4DD8FF&\\u1}";

void caption_escape(struct strbuf *out, const char *text)
{
    static const char joiner[] = "\xe2\x81\xa0"; /* U+2060, of no width: the \ before it is a \ */
    const size_t length = strlen(text);
    for (size_t at = 0, bytes; at < length; at += bytes ? bytes : 1) {
        int32_t code;
        bytes = normalize_character(&code, text + at, length - at);
        if (!bytes)
            strbuf_adds(out, "\xef\xbf\xbd"); /* U+FFFD */
        else if (code < ' ' || code == 0x7f)
            strbuf_adds(out, " ");
        else if (code == '{' || code == '}')
            strbuf_addf(out, "\\%c", (char)code);
        else
            strbuf_add(out, text + at, bytes);
        if (code == '\\' && bytes)
            strbuf_adds(out, joiner);
    }
}

/* The word that is spoken at `now`, or was just now; -1: none. */
static int spoken_word(const struct word *words, int count, double now)
{
    int last = count - 1;
    while (last >= 0 && words[last].start > now)
        last--;
    return last >= 0 && now < words[last].end + HOLD ? last : -1;
}

void caption_words(struct strbuf *out, const struct word *words, int count, double now)
{
    const int at = spoken_word(words, count, now);
    for (int i = 0; i < count; i++) {
        const bool doubt = words[i].confidence < CAPTION_DOUBTED;
        strbuf_adds(out, i ? " " : "");
        strbuf_adds(out, i == at ? (doubt ? doubted_spoken : spoken) : doubt ? doubted : plain);
        caption_escape(out, words[i].text);
        strbuf_adds(out, plain);
    }
}
