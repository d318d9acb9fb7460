/* Texts of unknown bytes (paths, what files say) as JSON strings. */
#ifndef CLI_TEXT_JSON_H
#define CLI_TEXT_JSON_H

#include <jansson.h>

json_t *text_json(const char *text); /* what is not UTF-8 becomes U+FFFD */

#endif
