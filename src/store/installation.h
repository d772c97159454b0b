/*-------------------------------------------------------------------------
 * installation.h
 *		Whether this database is the one that its queue belongs to.
 *-------------------------------------------------------------------------
 */
#ifndef WF_INSTALLATION_H
#define WF_INSTALLATION_H

typedef enum WfIdentity
{
	WF_IDENTITY_OURS,			/* this server, this database */
	WF_IDENTITY_COPY,			/* this server, another database: a template's
								 * copy, a dump restored beside */
	WF_IDENTITY_FOREIGN,		/* another server: restored, or upgraded */
	WF_IDENTITY_UNUSED			/* nothing has been made here yet; or a dump
								 * is being restored */
} WfIdentity;

/*
 * Reads wf.installation.  Anything but WF_IDENTITY_OURS: nothing is
 * dispatched or swept until wf_adopt(), or, where nothing has been made yet,
 * until the first workflow or task is.
 */
extern WfIdentity wf_installation_identity(void);

/* The first workflow or task is being made: the queue is this database's. */
extern void wf_installation_note_use(void);

/*
 * This copy is ours from now on: roles are found by their names again.
 * Counts the workflows whose owner, and the grants whose role, is missing;
 * such a grant is forgotten.
 */
extern void wf_installation_adopt(int64 *ownerless, int64 *lost_grants);

#endif							/* WF_INSTALLATION_H */
