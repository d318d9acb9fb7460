/*
 * Words of a cue as text of an ASS event (media/canvas draws it), in which the word that is spoken
 * has another colour, and words that are as likely wrong as right another one and a line below.
 * What was recognised is nobody's markup: it is shown as it is, whatever is in it.
 */
#ifndef TEXT_CAPTION_H
#define TEXT_CAPTION_H

#include "base/strbuf.h"
#include "text/words.h"

#define CAPTION_DOUBTED 0.5 /* words of a lower confidence are more likely wrong than right */

/* Appends text of any bytes so that ASS shows it: no tags, no escapes, one line. */
void caption_escape(struct strbuf *out, const char *text);
/* Appends the words, with one space between them, as they look at `now`, in seconds. */
void caption_words(struct strbuf *out, const struct word *words, int count, double now);

#endif
