/*-------------------------------------------------------------------------
 * relations.h
 *		The extension's own tables: their OIDs, and acting as their owner.
 *-------------------------------------------------------------------------
 */
#ifndef WF_RELATIONS_H
#define WF_RELATIONS_H

#include "utils/relcache.h"

#include "pg_workflow.h"

typedef struct WfRelations
{
	Oid			extension;
	Oid			functions;		/* schema of wf_... */
	Oid			schema;			/* wf */
	Oid			owner;			/* of the extension */
	Oid			run;			/* parents */
	Oid			event;
	Oid			workflow;
	Oid			slice;
	Oid			clock;
	Oid			reservation;
	Oid			duplicate;
	Oid			duplicate_last_at;	/* its index */
	Oid			task;
	Oid			task_ring;		/* wf.task_slice, the states of its slices */
	Oid			task_owner;
	Oid			run_slice[WF_SLICES];
	Oid			run_id[WF_SLICES];	/* indexes */
	Oid			run_key[WF_SLICES];
	Oid			run_queue[WF_SLICES];
	Oid			event_slice[WF_SLICES];
	Oid			event_id[WF_SLICES];
	Oid			event_queue[WF_SLICES];
	Oid			event_lease[WF_SLICES];
	Oid			event_failed[WF_SLICES];
	Oid			task_slice[WF_SLICES];
	Oid			task_id[WF_SLICES];
} WfRelations;

/*
 * OIDs of everything; error 55000 where the extension is missing, or of a
 * version that this library does not serve.  NULL instead if missing_ok.
 */
extern const WfRelations *wf_relations(void);
extern const WfRelations *wf_relations_if_any(void);

/* Is it one of these? */
extern bool wf_relations_include(Oid oid);

/* changes whenever the OIDs above may have changed */
extern uint64 wf_relations_epoch(void);

/*
 * Act as the extension's owner, with a pinned search_path, and back.  Inside
 * runs no code of any user.  An error in between undoes it by itself.
 */
typedef struct WfOwnerState
{
	Oid			user;
	int			context;
	int			nest_level;
} WfOwnerState;

extern void wf_become_owner(WfOwnerState *state);
extern void wf_restore_user(const WfOwnerState *state);

#endif							/* WF_RELATIONS_H */
