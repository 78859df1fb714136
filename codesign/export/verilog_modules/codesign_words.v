// COUNT words in registers, loaded one at a time: word i where load_address is BASE + i.
// `words` holds word 0 in its low bits.
module codesign_words #(
    parameter COUNT = 1,
    parameter WIDTH = 8,
    parameter BASE = 0,
    parameter ADDRESS_WIDTH = 12,
    parameter TRIPLICATED = 0
) (
    input  wire                     clock,
    input  wire                     load_enable,
    input  wire [ADDRESS_WIDTH-1:0] load_address,
    input  wire [WIDTH-1:0]         load_data,
    output wire [COUNT*WIDTH-1:0]   words
);
  reg [COUNT*WIDTH-1:0] next;
  integer i;

  // What is not loaded keeps the voted value.
  always @* begin
    next = words;
    i = 0;
    if (load_enable) begin
      for (i = 0; i < COUNT; i = i + 1) begin
        if ({{(32-ADDRESS_WIDTH){1'b0}}, load_address} == BASE + i) next[i*WIDTH +: WIDTH] = load_data;
      end
    end
  end

  codesign_register #(.WIDTH(COUNT*WIDTH), .TRIPLICATED(TRIPLICATED))
      store (.clock(clock), .next(next), .value(words));
endmodule
