/*-------------------------------------------------------------------------
 * holder_store.h
 *		Names of prepared transactions.
 *-------------------------------------------------------------------------
 */
#ifndef WF_HOLDER_STORE_H
#define WF_HOLDER_STORE_H

/* the gid of a prepared transaction, palloc'ed; NULL: there is none */
extern char *wf_prepared_gid(TransactionId xid);

#endif							/* WF_HOLDER_STORE_H */
