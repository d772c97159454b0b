/*-------------------------------------------------------------------------
 * databases.h
 *		The launcher's list of databases that may have a dispatcher.
 *-------------------------------------------------------------------------
 */
#ifndef WF_DATABASES_H
#define WF_DATABASES_H

typedef struct WfListed
{
	Oid			dbid;			/* hash key */
	NameData	name;
	uint32		listing;		/* number of the listing it was last seen in */
	bool		absent;			/* visited, and there was no extension */
} WfListed;

/*
 * Read pg_database anew.  revisit: forget where the extension was absent.
 */
extern void wf_databases_list(bool revisit);

/* NULL: gone, a template, or not to be connected to */
extern WfListed *wf_databases_find(Oid dbid);

/* give a slot to each that is to be visited; false: there are too few slots */
extern bool wf_databases_take_slots(void);

#endif							/* WF_DATABASES_H */
