// A product as rows of gates, a row a bit of B, which the sum around it adds with the rows of its other products.
// Signs as Baugh and Wooley (IEEE Trans. Computers C-22, 1973): bits of negative weight are added inverted, and a
// constant makes up for it.
(* techmap_celltype = "$mul" *)
module codesign_mul (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;

  localparam ZERO_A = _TECHMAP_CONSTMSK_A_[A_WIDTH-1] && !_TECHMAP_CONSTVAL_A_[A_WIDTH-1];
  localparam ZERO_B = _TECHMAP_CONSTMSK_B_[B_WIDTH-1] && !_TECHMAP_CONSTVAL_B_[B_WIDTH-1];
  localparam SIGN_A = A_SIGNED && !ZERO_A;
  localparam SIGN_B = B_SIGNED && !ZERO_B;
  localparam NA = ZERO_A ? A_WIDTH - 1 : A_WIDTH;
  localparam NB = ZERO_B ? B_WIDTH - 1 : B_WIDTH;
  localparam [Y_WIDTH-1:0] ONE = 1;
  // -2**p of each inverted bit, bits of negative weight: (NA-1, j) and (i, NB-1), but not both.
  localparam [Y_WIDTH-1:0] OF_A = SIGN_A ? ((ONE << (NB - SIGN_B)) - ONE) << (NA - 1) : 0;
  localparam [Y_WIDTH-1:0] OF_B = SIGN_B ? ((ONE << (NA - SIGN_A)) - ONE) << (NB - 1) : 0;

  wire [(NB+1)*Y_WIDTH-1:0] partial;
  assign partial[Y_WIDTH-1:0] = ~(OF_A + OF_B) + ONE;
  genvar i, j;
  generate
    for (j = 0; j < NB; j = j + 1) begin : rows
      wire [Y_WIDTH-1:0] row;
      for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
        if (i >= j && i - j < NA) begin : inside
          if ((SIGN_A && i - j == NA - 1) != (SIGN_B && j == NB - 1)) begin : negative
            assign row[i] = ~(A[i-j] & B[j]);
          end else begin : positive
            assign row[i] = A[i-j] & B[j];
          end
        end else begin : outside
          assign row[i] = 1'b0;
        end
      end
      assign partial[(j+1)*Y_WIDTH +: Y_WIDTH] = partial[j*Y_WIDTH +: Y_WIDTH] + row;
    end
  endgenerate
  assign Y = partial[NB*Y_WIDTH +: Y_WIDTH];
endmodule
