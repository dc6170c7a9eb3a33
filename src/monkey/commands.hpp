#pragma once

// What system() and popen() have in common: a shell, started while others wait for their turn.

#include <spawn.h>
#include <sys/types.h>

namespace fern::monkey {

// spawn_shell() starts /bin/sh with a command; 0 or an errno. It waits for the exec, some tenths of
// a millisecond: of the greenlets of a hub that want to, one does at a time, and between two of
// them others run. It is not done in a worker's thread: that would be the child's parent, at whose
// end a child gets the signal that it has asked for (PR_SET_PDEATHSIG).
int spawn_shell(pid_t& child, const char* command, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes) noexcept;

// wait_for_command() waits until it has ended: its status, or -1 with errno. When the greenlet is
// to end instead the command goes on unwaited for, killed if asked.
enum class GivenUp { Left, Killed };
int wait_for_command(pid_t child, GivenUp given_up) noexcept;

// end_unwaited() sees to a child that nobody waits for any more: it is reaped when it ends.
void end_unwaited(pid_t child) noexcept;

}  // namespace fern::monkey
