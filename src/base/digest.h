/*-------------------------------------------------------------------------
 * digest.h
 *		SHA-256, by OpenSSL.
 *
 * One digest at a time per backend: begin, any number of updates, final.
 * An error in between is harmless: begin starts anew.
 *-------------------------------------------------------------------------
 */
#ifndef WF_DIGEST_H
#define WF_DIGEST_H

#define WF_DIGEST_LENGTH 32

extern void wf_digest_begin(void);
extern void wf_digest_update(const void *data, size_t length);
extern void wf_digest_final(uint8 digest[WF_DIGEST_LENGTH]);

#endif							/* WF_DIGEST_H */
