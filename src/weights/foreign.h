/*
 * What a file is that holds no weights we read: people point at the wrong file of a folder, at what
 * a browser saved, at half a download. The answer ends "this is ...".
 */
#ifndef WEIGHTS_FOREIGN_H
#define WEIGHTS_FOREIGN_H

#include <stddef.h>

/* "a tokenizer (tokenizer.json)", "an HTML page (a failed download?)", "a picture (PNG)";
   what is not recognised: "of an unknown kind (it begins 00 11 22 33)". */
void foreign_describe(char *text, size_t room, const unsigned char *bytes, size_t size);

#endif
