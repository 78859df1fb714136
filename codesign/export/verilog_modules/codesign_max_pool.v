// Maximum over SIZE x SIZE windows; a window is cut off at the lower and right edge. Images are channels last.
module codesign_max_pool #(
    parameter HEIGHT = 8,
    parameter WIDTH = 8,
    parameter CHANNELS = 1,
    parameter SIZE = 2,
    parameter X_WIDTH = 8,
    parameter X_SIGNED = 0
) (
    input  wire [HEIGHT*WIDTH*CHANNELS*X_WIDTH-1:0] x,
    output reg  [((HEIGHT+SIZE-1)/SIZE)*((WIDTH+SIZE-1)/SIZE)*CHANNELS*X_WIDTH-1:0] y
);
  localparam OUT_WIDTH = (WIDTH + SIZE - 1) / SIZE;

  // One bit more than the words have, so that signed and unsigned ones are compared alike.
  reg signed [X_WIDTH:0] candidate;
  reg signed [X_WIDTH:0] best;
  integer row, column, channel, i, j, word;

  always @* begin
    for (row = 0; row < HEIGHT; row = row + SIZE) begin
      for (column = 0; column < WIDTH; column = column + SIZE) begin
        for (channel = 0; channel < CHANNELS; channel = channel + 1) begin
          best = {1'b1, {X_WIDTH{1'b0}}};
          for (i = row; i < row + SIZE && i < HEIGHT; i = i + 1) begin
            for (j = column; j < column + SIZE && j < WIDTH; j = j + 1) begin
              word = (i*WIDTH + j)*CHANNELS + channel;
              candidate = {(X_SIGNED != 0) & x[word*X_WIDTH + X_WIDTH - 1], x[word*X_WIDTH +: X_WIDTH]};
              if (candidate > best) best = candidate;
            end
          end
          word = ((row/SIZE)*OUT_WIDTH + column/SIZE)*CHANNELS + channel;
          y[word*X_WIDTH +: X_WIDTH] = best[X_WIDTH-1:0];
        end
      end
    end
  end
endmodule
