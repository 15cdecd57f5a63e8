#include "services/tokenizer/unicode_classes.h"

#include <algorithm>
#include <cassert>

namespace conclave::tokenizer {

const CharacterTable& CharacterTable::Get() {
  static const CharacterTable table;
  return table;
}

CharacterTable::CharacterTable() {
  size_t range = 0;
  size_t blocks = 0;
  std::array<uint8_t, 256> block;
  for (size_t high = 0; high < block_of_.size(); ++high) {
    for (size_t low = 0; low < block.size(); ++low) {
      const uint32_t character = static_cast<uint32_t>(high << 8 | low);
      while (range + 1 < kCharacterRangeCount && kCharacterRanges[range + 1].first <= character) ++range;
      block[low] = kCharacterRanges[range].classes;
    }
    const auto known = std::find(blocks_.begin(), blocks_.begin() + blocks, block);
    if (known == blocks_.begin() + blocks) {
      assert(blocks < kMaxBlocks);
      blocks_[blocks++] = block;
    }
    block_of_[high] = static_cast<uint16_t>(known - blocks_.begin());
  }
  ascii_ = blocks_[block_of_[0]];
}

}  // namespace conclave::tokenizer
