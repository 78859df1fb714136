// y = max(x, 0), rounded by dropping SHIFT bits (below 0: adding as many zeros), then brought into the range
// of Y_WIDTH bits.
module codesign_relu #(
    parameter COUNT = 128,
    parameter X_WIDTH = 18,
    parameter X_SIGNED = 1,
    parameter SHIFT = 5,
    parameter ROUNDING = 1,    // 0 truncate, 1 half up, 2 half to even
    parameter SATURATE = 1,    // 0: wrap around
    parameter Y_WIDTH = 8,
    parameter Y_SIGNED = 0
) (
    input  wire [COUNT*X_WIDTH-1:0] x,
    output reg  [COUNT*Y_WIDTH-1:0] y
);
  localparam DROPPED = (SHIFT > 0) ? SHIFT : 0;
  localparam ADDED = (SHIFT < 0) ? -SHIFT : 0;
  localparam NARROW = (X_WIDTH + ADDED > DROPPED) ? X_WIDTH + ADDED : DROPPED;
  localparam WORK = ((NARROW > Y_WIDTH) ? NARROW : Y_WIDTH) + 1;    // bits that hold every step on the way
  localparam [WORK-1:0] ONE = 1;
  localparam [WORK-1:0] HALF = (DROPPED > 0) ? (ONE << DROPPED) >> 1 : ONE - ONE;
  localparam [WORK-1:0] LARGEST = (ONE << (Y_WIDTH - Y_SIGNED)) - ONE;

  reg [X_WIDTH-1:0] word;
  reg [WORK-1:0] value;
  integer i;

  always @* begin
    for (i = 0; i < COUNT; i = i + 1) begin
      word = x[i*X_WIDTH +: X_WIDTH];
      value = {{(WORK-X_WIDTH){1'b0}}, word} << ADDED;
      if (X_SIGNED != 0 && word[X_WIDTH-1]) value = {WORK{1'b0}};
      if (DROPPED != 0 && ROUNDING == 1) value = value + HALF;
      if (DROPPED != 0 && ROUNDING == 2) value = value + HALF - ONE + {{(WORK-1){1'b0}}, value[DROPPED]};
      value = value >> DROPPED;
      if (SATURATE != 0 && value > LARGEST) value = LARGEST;
      y[i*Y_WIDTH +: Y_WIDTH] = value[Y_WIDTH-1:0];
    end
  end
endmodule
