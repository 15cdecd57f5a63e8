// Serves the real feedback module alone, so that tests can fill its disk and kill it:
//
//     feedback_probe serve DATA_DIR SOCKET   prints "ready" when it serves on the Unix socket; ends on
//     SIGTERM

#include <string_view>

#include "services/feedback/feedback_module.h"
#include "tests/probes/serve_module.h"

int main(int argc, char** argv) {
  if (argc != 4 || std::string_view(argv[1]) != "serve") {
    std::fputs("usage: feedback_probe serve DATA_DIR SOCKET\n", stderr);
    return 2;
  }
  return conclave::probes::ServeModule(
      [](const conclave::platform::ModuleContext& context) {
        return conclave::feedback::MakeFeedbackModule(context);
      },
      argv[2], argv[3]);
}
