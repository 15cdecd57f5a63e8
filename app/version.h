#pragma once

namespace conclave::app {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace conclave::app
