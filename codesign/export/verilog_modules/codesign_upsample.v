// Nearest-neighbour upsampling: each pixel becomes SIZE x SIZE pixels. Images are channels last.
module codesign_upsample #(
    parameter HEIGHT = 4,
    parameter WIDTH = 4,
    parameter CHANNELS = 8,
    parameter SIZE = 2,
    parameter X_WIDTH = 8
) (
    input  wire [HEIGHT*WIDTH*CHANNELS*X_WIDTH-1:0]           x,
    output wire [HEIGHT*WIDTH*SIZE*SIZE*CHANNELS*X_WIDTH-1:0] y
);
  localparam PIXEL = CHANNELS * X_WIDTH;
  genvar row, column;
  generate
    for (row = 0; row < HEIGHT*SIZE; row = row + 1) begin : rows
      for (column = 0; column < WIDTH*SIZE; column = column + 1) begin : columns
        assign y[(row*WIDTH*SIZE + column)*PIXEL +: PIXEL]
            = x[((row/SIZE)*WIDTH + column/SIZE)*PIXEL +: PIXEL];
      end
    end
  endgenerate
endmodule
