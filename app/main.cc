#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/version.h"

namespace {

using namespace conclave::app;

int Run(int argc, char** argv) {
  CLI::App program("Conclave serves open-weight language models as six services, and learns from ratings.",
                   "conclave");
  program.set_version_flag("--version", kVersion);
  program.require_subcommand(1);
  program.footer("Start here: conclave chat \"What is the capital of France?\"");
  CommandRunner chosen;
  for (const auto add :
       {AddChatCommand, AddServeCommand, AddGenerateCommand, AddScoreCommand, AddTokenizeCommand,
        AddIngestCommand, AddSearchCommand, AddRateCommand, AddBenchCommand, AddConvertCommand}) {
    add(program, chosen);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto named = [&](const CLI::App* command) { return command->check_name(argv[1]); };
    if (argc > 1 && argv[1][0] != '-' && program.get_subcommands(named).empty()) {
      std::cerr << "conclave: there is no command '" << argv[1] << "'; conclave --help lists them"
                << std::endl;
      return kExitUsage;
    }
    return program.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return chosen();
}

/// Opens /dev/null where a standard descriptor is missing, or the first files and sockets of the program
/// would take their numbers and get what is printed.
void HoldStandardDescriptors() {
  for (int opened = open("/dev/null", O_RDWR); opened >= 0; opened = open("/dev/null", O_RDWR)) {
    if (opened <= STDERR_FILENO) continue;
    close(opened);
    return;
  }
}

/// Large pieces go back to the system when they are freed, and many threads share few heaps: else what one
/// burst of work took, up to 32 MiB a piece, stays resident in whichever thread's heap it came from.
void KeepHeapsSmall() {
#ifdef __GLIBC__
  constexpr int kLargePieceBytes = 256 << 10;
  constexpr int kMostHeaps = 4;
  mallopt(M_MMAP_THRESHOLD, kLargePieceBytes);
  mallopt(M_ARENA_MAX, kMostHeaps);
#endif
}

/// What was printed must have arrived; a reader that had enough and left is told so by the status alone.
int CheckOutput(int status) {
  std::cout.flush();
  if (std::cout && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  const bool reader_left = poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
  if (!reader_left) std::cerr << "conclave: not all of the output could be written" << std::endl;
  return status == kExitOk ? kExitFailure : status;
}

}  // namespace

int main(int argc, char** argv) {
  KeepHeapsSmall();
  HoldStandardDescriptors();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of the write, as a full disk is
  // gRPC's own lines would stand beside the one that says what went wrong; whoever wants them sets the
  // variable.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    return CheckOutput(Run(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "conclave: " << error.what() << std::endl;
    return kExitFailure;
  }
}
