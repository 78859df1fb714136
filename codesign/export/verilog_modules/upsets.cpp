// Single-event upsets: flips register bits of the design, one at a time, on every frame of vectors/inputs.hex,
// for Verilator. Every bit, or with a number n as argument every n-th. Prints four numbers: register bits, flips, flips that changed an output,
// flips that were still there after the next clock edge.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>
#include "Vchip.h"
#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"

struct Word {
  uint8_t* data;
  int bits;
};

static std::unique_ptr<Vchip> chip;

static std::vector<uint8_t> bytes_of(const std::string& line, size_t size) {
  std::vector<uint8_t> bytes(size, 0);
  for (size_t k = 0; k < line.size(); ++k) {
    const char digit = line[line.size() - 1 - k];
    const int value = digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10;
    bytes[k / 2] |= value << (4 * (k % 2));
  }
  return bytes;
}

template <typename Port>
static void drive(Port& port, const std::vector<uint8_t>& bytes) {
  std::memcpy(&port, bytes.data(), sizeof(port));
}

static std::string outputs() {
  return std::string(reinterpret_cast<const char*>(&chip->outputs), sizeof(chip->outputs));
}

static void edge() {
#if CLOCKED
  chip->clock = 0;
  chip->eval();
  chip->clock = 1;
  chip->eval();
#else
  chip->eval();
#endif
}

static void load() {
#if WORDS
  std::ifstream file("weights.hex");
  std::string line;
  chip->load_enable = 1;
  for (int address = 0; std::getline(file, line); ++address) {
    chip->load_address = address;
    drive(chip->load_data, bytes_of(line, sizeof(chip->load_data)));
    edge();
  }
  chip->load_enable = 0;
#endif
}

static std::vector<Word> registers() {
  std::vector<Word> found;
  for (const auto& scope : *Verilated::scopeNameMap()) {
    if (scope.second->varsp() == nullptr) continue;
    for (auto& variable : *scope.second->varsp()) {
      const std::string name = variable.first;
      const bool is_register = name == "state" || (name.size() > 6 && name.substr(name.size() - 6) == ".state");
      if (is_register) found.push_back({static_cast<uint8_t*>(variable.second.datap()), variable.second.entBits()});
    }
  }
  return found;
}

int main(int count, char** words_given) {
  const long stride = count > 1 ? std::atol(words_given[1]) : 1;
  chip = std::make_unique<Vchip>();
  load();
  const std::vector<Word> words = registers();
  long bits = 0, flips = 0, changed = 0, kept = 0;
  for (const Word& word : words) bits += word.bits;
  std::ifstream file("vectors/inputs.hex");
  std::string line;
  while (std::getline(file, line)) {
    drive(chip->inputs, bytes_of(line, sizeof(chip->inputs)));
    for (int k = 0; k <= LATENCY; ++k) edge();
    const std::string right = outputs();
    long number = 0;
    for (const Word& word : words) {
      for (int bit = 0; bit < word.bits; ++bit) {
        if (number++ % stride) continue;
        const uint8_t mask = 1 << (bit % 8);
        uint8_t& byte = word.data[bit / 8];
        const uint8_t before = byte;
        byte ^= mask;
        chip->eval();
        bool same = outputs() == right;
        edge();
        const bool stayed = ((byte ^ before) & mask) != 0;
        same = same && outputs() == right;
        for (int k = 0; k < LATENCY; ++k) {
          edge();
          same = same && outputs() == right;
        }
        if (stayed) {
          byte = before;
          for (int k = 0; k <= LATENCY; ++k) edge();
        }
        ++flips;
        changed += !same;
        kept += stayed;
      }
    }
  }
  std::printf("%ld %ld %ld %ld\n", bits, flips, changed, kept);
  chip->final();
  chip.reset();  // before the statics of Verilator go
  return 0;
}
