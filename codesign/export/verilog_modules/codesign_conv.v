// 2-D convolution with a square kernel, fully parallel. Images are channels last: pixel (row, column),
// channel k at word (row * WIDTH + column) * CHANNELS + k. PAD_TOP rows and PAD_LEFT columns of zeros lie
// before the image, as many as are needed behind it.
module codesign_conv #(
    parameter HEIGHT = 8,
    parameter WIDTH = 8,
    parameter CHANNELS = 1,
    parameter UNITS = 8,
    parameter KERNEL = 3,
    parameter STRIDE = 2,
    parameter PAD_TOP = 0,
    parameter PAD_LEFT = 0,
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
            localparam R = row * STRIDE + i - PAD_TOP;
            localparam C = column * STRIDE + j - PAD_LEFT;
            if (R >= 0 && R < HEIGHT && C >= 0 && C < WIDTH) begin : on_image
              assign window[(i*KERNEL + j)*PIXEL +: PIXEL] = x[(R*WIDTH + C)*PIXEL +: PIXEL];
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
