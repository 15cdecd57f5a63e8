#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

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
    return program.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return chosen();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // gRPC's own lines would stand beside the one that says what went wrong; whoever wants them sets the
  // variable.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "conclave: " << error.what() << std::endl;
    return kExitFailure;
  }
}
