/*-------------------------------------------------------------------------
 * pg_workflow.c
 *		Where the library begins: settings, shared memory, launcher.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "worker/ddl_hook.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	wf_guc_init();

	/* without shared_preload_libraries everything but the processes works */
	if (!process_shared_preload_libraries_in_progress)
		return;
	wf_shmem_init();
	wf_ddl_hook_init();
	if (!IsBinaryUpgrade)
		wf_launcher_register();
}
