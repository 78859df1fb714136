// 2-D transposed convolution with a square kernel, fully parallel: the image grows by STRIDE. Images are
// channels last, as in codesign_conv. An output pixel sums the inputs whose kernel reaches it; CROP rows and
// columns are cut off in front.
module codesign_conv_transpose #(
    parameter HEIGHT = 8,
    parameter WIDTH = 8,
    parameter CHANNELS = 1,
    parameter UNITS = 8,
    parameter KERNEL = 3,
    parameter STRIDE = 2,
    parameter CROP = 0,
    parameter OUT_HEIGHT = 4,
    parameter OUT_WIDTH = 4,
    parameter X_WIDTH = 8,
    parameter X_SIGNED = 0,
    parameter WEIGHT_WIDTH = 6,
    parameter WEIGHT_SIGNED = 1,
    parameter BIAS_WIDTH = 6,
    parameter BIAS_SIGNED = 1,
    parameter BIAS_SHIFT = 7,
    parameter Y_WIDTH = 18
) (
    input  wire [HEIGHT*WIDTH*CHANNELS*X_WIDTH-1:0]                x,
    input  wire [UNITS*KERNEL*KERNEL*CHANNELS*WEIGHT_WIDTH-1:0]    weights,
    input  wire [UNITS*BIAS_WIDTH-1:0]                             biases,
    output wire [OUT_HEIGHT*OUT_WIDTH*UNITS*Y_WIDTH-1:0]           y
);
  localparam TAPS = KERNEL * KERNEL * CHANNELS;
  localparam PIXEL = CHANNELS * X_WIDTH;

  genvar row, column, i, j;
  generate
    for (row = 0; row < OUT_HEIGHT; row = row + 1) begin : rows
      for (column = 0; column < OUT_WIDTH; column = column + 1) begin : columns
        wire [TAPS*X_WIDTH-1:0] window;
        for (i = 0; i < KERNEL; i = i + 1) begin : window_rows
          for (j = 0; j < KERNEL; j = j + 1) begin : window_columns
            localparam R = row + CROP - i;       // STRIDE times the row of the input
            localparam C = column + CROP - j;
            if (R >= 0 && R < HEIGHT*STRIDE && R % STRIDE == 0 &&
                C >= 0 && C < WIDTH*STRIDE && C % STRIDE == 0) begin : on_image
              assign window[(i*KERNEL + j)*PIXEL +: PIXEL]
                  = x[((R/STRIDE)*WIDTH + C/STRIDE)*PIXEL +: PIXEL];
            end else begin : off_image
              assign window[(i*KERNEL + j)*PIXEL +: PIXEL] = {PIXEL{1'b0}};
            end
          end
        end
        codesign_products #(
            .UNITS(UNITS), .TAPS(TAPS), .X_WIDTH(X_WIDTH), .X_SIGNED(X_SIGNED),
            .WEIGHT_WIDTH(WEIGHT_WIDTH), .WEIGHT_SIGNED(WEIGHT_SIGNED),
            .BIAS_WIDTH(BIAS_WIDTH), .BIAS_SIGNED(BIAS_SIGNED), .BIAS_SHIFT(BIAS_SHIFT),
            .Y_WIDTH(Y_WIDTH)
        ) products (
            .x(window), .weights(weights), .biases(biases),
            .y(y[(row*OUT_WIDTH + column)*UNITS*Y_WIDTH +: UNITS*Y_WIDTH])
        );
      end
    end
  endgenerate
endmodule
